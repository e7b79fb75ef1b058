// What must hold before a command may be obeyed; for session*.cc.
#pragma once

#include "mta/session.h"

namespace postrider {

enum Needs : unsigned {
  kNothing = 0,
  kGreeted = 1,        // HELO or EHLO
  kExtended = 2,       // EHLO
  kAuthenticated = 4,  // on the submission ports
  kNoTransaction = 8,
  kMail = 16,       // a transaction
  kRecipient = 32,  // at least one accepted
  kNoChunks = 64,   // no BDAT yet
  kNoArgument = 128,
  kIsWork = 256,  // brings a message nearer; checked by nobody
};

struct Session::CommandRule {
  smtp::Verb verb;
  Handler handler;
  unsigned needs;
};

}  // namespace postrider
