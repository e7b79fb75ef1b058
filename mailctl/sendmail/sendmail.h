// One call of sendmail, mailq or newaliases, from its arguments to its exit status.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "mailctl/sendmail/arguments.h"

namespace postrider::sendmail {

struct Settings {
  std::string folder;  // STATE/drop
  std::string hostname;
  uint64_t max_message_size = 0;  // octets
};

/// Mode::deliver and Mode::smtp. What goes wrong is said on standard error, as sendmail's callers expect it, with an
/// exit status of <sysexits.h>.
int send(const Arguments& arguments, const Settings& settings, std::FILE* input);
int speak_smtp(const Arguments& arguments, const Settings& settings, std::FILE* input, std::FILE* output);

}  // namespace postrider::sendmail
