// The tables of queue.db. Numbered steps: a step that was released is never changed, only followed by another.
#pragma once

#include <array>

#include "store/sqlite.h"

namespace postrider::store {

inline constexpr std::array kQueueMigrations = {
    Migration{R"sql(
-- remaining: recipients that have not ended; the message goes with the last one. flags: 1 8-bit, 2 binary, 4 SMTPUTF8,
-- 24 MailKind, 96 TlsNeed, 128 junk.
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
    Migration{R"sql(
-- hold, wish: see store/queue_message.h. What is held is in no index of what is due.
ALTER TABLE recipient ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recipient ADD COLUMN wish INTEGER NOT NULL DEFAULT 0;
DROP INDEX recipient_local;
DROP INDEX recipient_remote;
DROP INDEX recipient_destination;
CREATE INDEX recipient_local ON recipient(next_attempt) WHERE next_attempt IS NOT NULL AND account <> 0 AND hold = 0;
CREATE INDEX recipient_remote ON recipient(next_attempt) WHERE next_attempt IS NOT NULL AND account = 0 AND hold = 0;
CREATE INDEX recipient_destination ON recipient(destination, next_attempt)
  WHERE next_attempt IS NOT NULL AND account = 0 AND hold = 0;
CREATE INDEX recipient_held ON recipient(hold) WHERE hold <> 0;
CREATE INDEX message_spool ON message(spool) WHERE spool <> '';

-- The ledger. Rows are only ever added, and removed by age: no index but the key, so that they cost little; a search by
-- anything else reads them all.
CREATE TABLE ledger(
  id INTEGER PRIMARY KEY,
  accepted INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  size INTEGER NOT NULL,
  reverse_path TEXT NOT NULL,
  client TEXT NOT NULL,
  authenticated_as TEXT NOT NULL,
  message_id TEXT NOT NULL
) STRICT;

-- how: Ending. original: empty where it is the address. report: the message that tells the sender, or 0.
CREATE TABLE ending(
  message INTEGER NOT NULL,
  number INTEGER NOT NULL,
  time INTEGER NOT NULL,
  how INTEGER NOT NULL,
  account INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  report INTEGER NOT NULL,
  address TEXT NOT NULL,
  original TEXT NOT NULL,
  remote TEXT NOT NULL,
  tls TEXT NOT NULL,
  reply TEXT NOT NULL,
  PRIMARY KEY(message, number)
) STRICT, WITHOUT ROWID;

-- Attempts that did not end their recipient. slot: the attempt's number modulo kMaxKeptAttempts, so that the last ones stay.
CREATE TABLE attempt(
  message INTEGER NOT NULL,
  number INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  time INTEGER NOT NULL,
  remote TEXT NOT NULL,
  tls TEXT NOT NULL,
  reply TEXT NOT NULL,
  PRIMARY KEY(message, number, slot)
) STRICT, WITHOUT ROWID;

INSERT INTO ledger SELECT id, accepted, remaining, size, reverse_path, client, authenticated_as, '' FROM message;

-- What the sendmail command left and was taken, by its name: a file that is seen again is not taken again.
CREATE TABLE dropped(
  name TEXT NOT NULL PRIMARY KEY,
  message INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql"},
    Migration{R"sql(
-- What the checks and filters found out about the message, in short: "spf=pass dkim=none dmarc=fail:example.org junk=dmarc".
ALTER TABLE ledger ADD COLUMN checks TEXT NOT NULL DEFAULT '';
)sql",
              R"sql(
ALTER TABLE ledger DROP COLUMN checks;
)sql"},
};

}  // namespace postrider::store
