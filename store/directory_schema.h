// The tables of directory.db. Numbered steps: a step that was released is never changed, only followed by another.
#pragma once

#include <array>

#include "store/sqlite.h"

namespace postrider::store {

inline constexpr std::array kDirectoryMigrations = {
    Migration{R"sql(
-- One row. version: grows with every change.
CREATE TABLE state(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES(1, 1);

-- name: A-label, lower case. number: in the order in which they were made. catch_all: an address, or empty.
CREATE TABLE domain(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  catch_all TEXT NOT NULL DEFAULT '',
  created INTEGER NOT NULL
) STRICT;

-- id names the account's file and is never used again. local: without quotes, ASCII in lower case.
CREATE TABLE account(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  local TEXT NOT NULL,
  domain TEXT NOT NULL,
  quota INTEGER NOT NULL DEFAULT 0,
  enabled INTEGER NOT NULL DEFAULT 1,
  created INTEGER NOT NULL,
  UNIQUE(domain, local)
) STRICT;

CREATE TABLE credential(
  account INTEGER PRIMARY KEY,
  argon2id TEXT NOT NULL,
  scram_salt BLOB NOT NULL,
  scram_iterations INTEGER NOT NULL,
  stored_key BLOB NOT NULL,
  server_key BLOB NOT NULL
) STRICT;

-- One row for each target of an alias, in the order in which they were given.
CREATE TABLE alias(
  domain TEXT NOT NULL,
  local TEXT NOT NULL,
  position INTEGER NOT NULL,
  target TEXT NOT NULL,
  PRIMARY KEY(domain, local, position)
) STRICT, WITHOUT ROWID;
)sql"},
    Migration{R"sql(
-- decoy_key: secret; what logins of users who do not exist are answered with comes from it, in both daemons alike.
ALTER TABLE state ADD COLUMN decoy_key BLOB NOT NULL DEFAULT x'';
UPDATE state SET decoy_key = randomblob(32);
)sql"},
    Migration{R"sql(
-- Which accounts may have let which others (0: anyone) into a mailbox. Written before the account's file, which knows.
CREATE TABLE sharing(
  who INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  PRIMARY KEY(who, owner)
) STRICT, WITHOUT ROWID;
)sql"},
    Migration{R"sql(
-- hash: SHA-256 of 128 random bits as they are written. scopes: 1 SMTP, 2 IMAP. last_used: 0 for never.
CREATE TABLE app_password(
  account INTEGER NOT NULL,
  name TEXT NOT NULL,
  scopes INTEGER NOT NULL,
  hash BLOB NOT NULL,
  created INTEGER NOT NULL,
  last_used INTEGER NOT NULL,
  PRIMARY KEY(account, name)
) STRICT, WITHOUT ROWID;
)sql",
              R"sql(
DROP TABLE app_password;
)sql"},
};

}  // namespace postrider::store
