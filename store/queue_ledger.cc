// The ledger: what is entered, read and forgotten. See queue_ledger.h.
#include "store/queue_ledger.h"

#include <algorithm>

#include "store/queue_internal.h"

namespace postrider::store {
namespace {

TracedMessage traced_message(const Statement& row) {
  TracedMessage message;
  message.id = row.integer(0);
  message.accepted = row.integer(1);
  message.recipient_count = row.integer(2);
  message.size = static_cast<uint64_t>(row.integer(3));
  message.reverse_path = row.text(4);
  message.client = row.text(5);
  message.authenticated_as = row.text(6);
  message.message_id = row.text(7);
  message.checks = row.text(8);
  return message;
}

TracedRecipient ended_recipient(const Statement& row) {
  TracedRecipient recipient;
  recipient.ended = true;
  recipient.number = row.integer(0);
  recipient.time = row.integer(1);
  recipient.ending = static_cast<Ending>(row.integer(2));
  recipient.account = row.integer(3);
  recipient.mailbox = row.integer(4);
  recipient.uid = static_cast<Uid>(row.integer(5));
  recipient.attempts = static_cast<int32_t>(row.integer(6));
  recipient.report = row.integer(7);
  recipient.address = row.text(8);
  recipient.original = row.text(9);
  recipient.remote = row.text(10);
  recipient.tls = row.text(11);
  recipient.reply = row.text(12);
  return recipient;
}

TracedRecipient waiting_recipient(const Statement& row) {
  TracedRecipient recipient;
  recipient.number = row.integer(0);
  recipient.account = row.integer(1);
  recipient.address = row.text(2);
  if (row.text(3) != row.text(2)) recipient.original = row.text(3);
  recipient.attempts = static_cast<int32_t>(row.integer(4));
  recipient.next_attempt = row.is_null(5) ? kInHand : row.integer(5);
  recipient.hold = static_cast<Hold>(row.integer(6));
  recipient.reply = row.text(7);
  return recipient;
}

}  // namespace

void Queue::enter(const QueuedMessage& message) {
  database_.prepare("INSERT INTO ledger VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
      .bind(message.id, message.accepted, message.recipients.size(), message.body->size(), message.reverse_path,
            message.client, message.authenticated_as, message.message_id, message.checks)
      .run();
  if (message.drop.empty()) return;
  database_.prepare("INSERT INTO dropped VALUES(?1, ?2)").bind(message.drop, message.id).run();
}

/// Before the recipient's row goes: where there is none, it ended before.
void Queue::enter_ending(const RecipientUpdate& update) {
  database_
      .prepare(
          "INSERT OR IGNORE INTO ending SELECT message, number, ?3, ?4, account, ?5, ?6, attempts + ?7, ?8, address,"
          " CASE original WHEN address THEN '' ELSE original END, ?9, ?10, ?11"
          " FROM recipient WHERE message = ?1 AND number = ?2")
      .bind(update.message, update.number, update.time, static_cast<int>(update.ending), update.mailbox, update.uid,
            update.attempted, update.report, update.remote, update.tls, update.last_reply)
      .run();
}

void Queue::enter_attempt(const RecipientUpdate& update) {
  database_
      .prepare(
          "INSERT OR REPLACE INTO attempt SELECT message, number, attempts % ?3, ?4, ?5, ?6, ?7"
          " FROM recipient WHERE message = ?1 AND number = ?2")
      .bind(update.message, update.number, kMaxKeptAttempts, update.time, update.remote, update.tls, update.last_reply)
      .run();
}

std::optional<TracedMessage> Queue::trace(QueueId id) {
  ReadTransaction snapshot(database_);
  TracedMessage message;
  {
    Rows rows(database_.prepare("SELECT * FROM ledger WHERE id = ?1").bind(id));
    if (!rows.next()) return std::nullopt;
    message = traced_message(*rows.operator->());
  }
  {
    Rows rows(
        database_
            .prepare("SELECT number, time, how, account, mailbox, uid, attempts, report, address, original, remote,"
                     " tls, reply FROM ending WHERE message = ?1 ORDER BY number LIMIT ?2")
            .bind(id, kMaxTracedRecipients));
    while (rows.next()) message.recipients.push_back(ended_recipient(*rows.operator->()));
  }
  {
    Rows rows(database_
                  .prepare("SELECT number, account, address, original, attempts, next_attempt, hold, last_reply"
                           " FROM recipient WHERE message = ?1 ORDER BY number LIMIT ?2")
                  .bind(id, kMaxTracedRecipients));
    while (rows.next()) message.recipients.push_back(waiting_recipient(*rows.operator->()));
  }
  std::sort(message.recipients.begin(), message.recipients.end(),
            [](const TracedRecipient& a, const TracedRecipient& b) { return a.number < b.number; });
  if (message.recipients.size() > kMaxTracedRecipients) message.recipients.resize(kMaxTracedRecipients);
  for (TracedRecipient& recipient : message.recipients) {
    Rows rows(
        database_
            .prepare(
                "SELECT time, remote, tls, reply FROM attempt WHERE message = ?1 AND number = ?2 ORDER BY time, slot")
            .bind(id, recipient.number));
    while (rows.next()) {
      recipient.tries.push_back(
          {rows->integer(0), std::string(rows->text(1)), std::string(rows->text(2)), std::string(rows->text(3))});
    }
  }
  return message;
}

std::vector<QueueId> Queue::find(std::string_view text, size_t limit) {
  std::string message_id(text);
  if (!message_id.starts_with('<')) message_id = '<' + message_id + '>';
  std::vector<QueueId> found;
  Rows rows(
      database_
          .prepare(
              "SELECT id FROM ledger WHERE message_id = ?2 OR reverse_path = ?1 COLLATE NOCASE"
              " UNION SELECT message FROM ending WHERE address = ?1 COLLATE NOCASE OR original = ?1 COLLATE NOCASE"
              " UNION SELECT message FROM recipient WHERE address = ?1 COLLATE NOCASE OR original = ?1 COLLATE NOCASE"
              " ORDER BY 1 DESC LIMIT ?3")
          .bind(text, message_id, limit));
  while (rows.next()) found.push_back(rows->integer(0));
  return found;
}

size_t Queue::forget(UnixTime before, size_t limit) {
  // What still waits (held for long, perhaps) is stepped over, and looked at again in the next round.
  std::vector<QueueId> old;
  {
    Rows rows(database_
                  .prepare("SELECT id FROM ledger WHERE id > ?1 AND id < ?2 AND id NOT IN (SELECT id FROM message"
                           " WHERE id > ?1 AND id < ?2) ORDER BY id LIMIT ?3")
                  .bind(forgotten_, first_id_of(before), limit));
    while (rows.next()) old.push_back(rows->integer(0));
  }
  if (old.size() < limit) forgotten_ = 0;
  if (old.empty()) return 0;
  if (old.size() == limit) forgotten_ = old.back();
  WithoutFlush without_flush(database_);
  Transaction transaction(database_);
  for (QueueId id : old) {
    database_.prepare("DELETE FROM ledger WHERE id = ?1").bind(id).run();
    database_.prepare("DELETE FROM ending WHERE message = ?1").bind(id).run();
    database_.prepare("DELETE FROM attempt WHERE message = ?1").bind(id).run();
  }
  if (old.size() < limit) database_.prepare("DELETE FROM dropped WHERE message < ?1").bind(first_id_of(before)).run();
  transaction.commit();
  return old.size();
}

std::optional<Flushed> Queue::taken(std::string_view drop) {
  Rows rows(database_.prepare("SELECT 1 FROM dropped WHERE name = ?1").bind(drop));
  if (!rows.next()) return std::nullopt;
  return Flushed();
}

}  // namespace postrider::store
