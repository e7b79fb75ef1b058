// The tables of queue.db. Numbered steps: a step that was released is never changed, only followed by another.
#pragma once

#include <array>

#include "store/sqlite.h"

namespace postrider::store {

inline constexpr std::array kQueueMigrations = {
    Migration{R"sql(
-- remaining: recipients that have not ended; the message goes with the last one. flags: 1 8-bit, 2 binary, 4 SMTPUTF8, 24 MailKind.
-- spool: name of the body's file in spool/; empty where the body is a row.
CREATE TABLE message(
  id INTEGER PRIMARY KEY,
  remaining INTEGER NOT NULL,
  reverse_path TEXT NOT NULL,
  authenticated_as TEXT NOT NULL,
  client TEXT NOT NULL,
  envid TEXT NOT NULL,
  ret TEXT NOT NULL,
  flags INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  size INTEGER NOT NULL,
  spool TEXT NOT NULL
) STRICT;

CREATE TABLE body(
  message INTEGER PRIMARY KEY,
  data BLOB NOT NULL
) STRICT;

-- account: 0 for another server's; destination is the domain of its address then. next_attempt: NULL while the running process has it in hand, so that what is delivered at
-- once never enters the index. crashes: how often a process ended with it in hand.
CREATE TABLE recipient(
  message INTEGER NOT NULL,
  number INTEGER NOT NULL,
  account INTEGER NOT NULL,
  destination TEXT NOT NULL,
  address TEXT NOT NULL,
  original TEXT NOT NULL,
  orcpt TEXT NOT NULL,
  notify INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  warned INTEGER NOT NULL DEFAULT 0,
  next_attempt INTEGER,
  last_reply TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(message, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_local ON recipient(next_attempt) WHERE next_attempt IS NOT NULL AND account <> 0;
CREATE INDEX recipient_remote ON recipient(next_attempt) WHERE next_attempt IS NOT NULL AND account = 0;
CREATE INDEX recipient_destination ON recipient(destination) WHERE next_attempt IS NOT NULL AND account = 0;
)sql"},
};

}  // namespace postrider::store
