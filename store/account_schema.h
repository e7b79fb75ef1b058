// The tables of an account file. Numbered steps: a step that was released is never changed, only followed by another.
#pragma once

#include <array>

#include "store/sqlite.h"

namespace postrider::store {

inline constexpr std::array kAccountMigrations = {
    Migration{R"sql(
-- One row. boot: the machine's boot id at the last check; log_floor: changes up to here were pruned from the log.
CREATE TABLE state(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  modseq INTEGER NOT NULL,
  next_message INTEGER NOT NULL,
  uid_validity INTEGER NOT NULL,
  log_floor INTEGER NOT NULL,
  boot TEXT NOT NULL
) STRICT;

-- gone: when it was deleted; 0 while it lives.
CREATE TABLE mailbox(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  special_use TEXT NOT NULL,
  uid_validity INTEGER NOT NULL,
  uid_next INTEGER NOT NULL,
  highest_modseq INTEGER NOT NULL,
  messages INTEGER NOT NULL DEFAULT 0,
  unseen INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,
  first_recent INTEGER NOT NULL DEFAULT 1,
  gone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX mailbox_name ON mailbox(name) WHERE gone = 0;

-- Names, not mailboxes: a subscription outlives its mailbox.
CREATE TABLE subscription(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE keyword(
  bit INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE
) STRICT;

-- Narrow: what SELECT, FLAGS and sync read.
CREATE TABLE entry(
  mailbox INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  message INTEGER NOT NULL,
  size INTEGER NOT NULL,
  saved INTEGER NOT NULL,
  PRIMARY KEY(mailbox, uid)
) STRICT, WITHOUT ROWID;

-- Made once, when the message entered.
CREATE TABLE message(
  id INTEGER PRIMARY KEY,
  size INTEGER NOT NULL,
  internal_date INTEGER NOT NULL,
  prefix_size INTEGER NOT NULL,
  head_size INTEGER NOT NULL,
  envelope TEXT NOT NULL,
  bodystructure TEXT NOT NULL,
  mime BLOB NOT NULL
) STRICT;

-- prefix: fields for this recipient alone; data: the root header, what is longer goes on in the chunks.
CREATE TABLE head(
  id INTEGER PRIMARY KEY,
  prefix BLOB NOT NULL,
  data BLOB NOT NULL
) STRICT;

-- id: message << 20 | number of the chunk from 0.
CREATE TABLE chunk(
  id INTEGER PRIMARY KEY,
  raw_size INTEGER NOT NULL,
  zstd INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;

-- Deliveries that are in this account already, by the queue's id: a replay after a crash finds itself here.
CREATE TABLE delivery(
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL
) STRICT;

-- The log: what each edit did to each mailbox. kind: 1 added, 2 expunged, 3 flags, 4 the mailbox itself.
CREATE TABLE change(
  modseq INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  uids TEXT NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY(modseq, mailbox, kind)
) STRICT, WITHOUT ROWID;

-- Tombstones: kept for undelete until they are purged.
CREATE TABLE expunged(
  id INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  message INTEGER NOT NULL,
  size INTEGER NOT NULL,
  saved INTEGER NOT NULL,
  time INTEGER NOT NULL
) STRICT;
)sql"},
    Migration{R"sql(
-- What may be found where: a row for each message, by its id, with the names of its trigrams (search_index.h).
CREATE VIRTUAL TABLE search USING fts5(trigrams, content='', columnsize=0, detail=none, tokenize='ascii');

-- One row. Messages up to indexed_to are in search; rows: how many were put there; gone: those of them that are no
-- messages any more.
CREATE TABLE search_state(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  indexed_to INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  gone INTEGER NOT NULL
) STRICT;
INSERT INTO search_state VALUES(1, 0, 0, 0);

-- The mailbox that shows what was expunged, where there is one, and the UIDs that tombstones have in it.
ALTER TABLE mailbox ADD COLUMN shows_expunged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE expunged ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
CREATE INDEX mailbox_shows_expunged ON mailbox(id) WHERE shows_expunged = 1;
CREATE INDEX expunged_shown ON expunged(shown) WHERE shown > 0;
)sql"},
    Migration{R"sql(
-- The access control lists (RFC 4314). who: an account, or 0 for anyone. negative: takes the rights away.
CREATE TABLE access_right(
  mailbox INTEGER NOT NULL,
  who INTEGER NOT NULL,
  negative INTEGER NOT NULL,
  rights INTEGER NOT NULL,
  PRIMARY KEY(mailbox, who, negative)
) STRICT, WITHOUT ROWID;

-- Metadata (RFC 5464). mailbox: 0 for the server. reader: whose a private one is; 0: shared. value: NULL when removed.
CREATE TABLE annotation(
  mailbox INTEGER NOT NULL,
  reader INTEGER NOT NULL,
  name TEXT NOT NULL,
  value BLOB,
  modseq INTEGER NOT NULL,
  PRIMARY KEY(mailbox, reader, name)
) STRICT, WITHOUT ROWID;

-- Threads by hashes of Message-IDs. message.thread: NULL where the message began its thread, whose id is the message's.
CREATE TABLE thread_key(
  id INTEGER PRIMARY KEY,
  thread INTEGER NOT NULL
) STRICT;
ALTER TABLE message ADD COLUMN thread INTEGER;
CREATE INDEX message_thread ON message(thread) WHERE thread IS NOT NULL;
)sql"},
    Migration{R"sql(
-- \Seen of readers who are not the owner (reader_seen.h), in runs of UIDs that do not overlap. seen: 0 where it was
-- taken away again; what no run names is unseen.
CREATE TABLE reader_seen(
  mailbox INTEGER NOT NULL,
  reader INTEGER NOT NULL,
  last INTEGER NOT NULL,
  first INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  modseq INTEGER NOT NULL,
  PRIMARY KEY(mailbox, reader, last)
) STRICT, WITHOUT ROWID;

-- A search finds addresses as they are meant: texts that the index did not take in. It is filled anew.
INSERT INTO search(search) VALUES('delete-all');
UPDATE search_state SET indexed_to = 0, rows = 0, gone = 0;

-- Keys of mailboxes, by which URLs are authorized (RFC 4467 2.2).
CREATE TABLE url_key(
  mailbox INTEGER PRIMARY KEY,
  key BLOB NOT NULL
) STRICT;
)sql",
              R"sql(
DROP TABLE reader_seen;
DROP TABLE url_key;
INSERT INTO search(search) VALUES('delete-all');
UPDATE search_state SET indexed_to = 0, rows = 0, gone = 0;
)sql"},
    Migration{R"sql(
-- Of what is stored: checksum(data, prefix), checksum(data). NULL: it is from before there were any.
ALTER TABLE head ADD COLUMN checksum INTEGER;
ALTER TABLE chunk ADD COLUMN checksum INTEGER;
)sql",
              R"sql(
ALTER TABLE head DROP COLUMN checksum;
ALTER TABLE chunk DROP COLUMN checksum;
)sql"},
};

/// Of an entry e: false where one of the parts of its message is missing, or has another size than it had.
inline constexpr std::string_view kIsWhole =
    "EXISTS(SELECT 1 FROM message m JOIN head h ON h.id = m.id WHERE m.id = e.message AND m.size = length(h.prefix) +"
    " length(h.data) + (SELECT coalesce(sum(raw_size), 0) FROM chunk c WHERE c.id BETWEEN m.id << 20 AND"
    " (m.id << 20) + 1048575))";

/// Of an entry e: false where one of the parts of its message is not what was written. Reads all of them.
inline constexpr std::string_view kIsUnchanged =
    "(NOT EXISTS(SELECT 1 FROM head h WHERE h.id = e.message AND h.checksum <> checksum(h.data, h.prefix)) AND"
    " NOT EXISTS(SELECT 1 FROM chunk c WHERE c.id BETWEEN e.message << 20 AND (e.message << 20) + 1048575 AND"
    " c.checksum <> checksum(c.data)))";

}  // namespace postrider::store
