#include "store/queue.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "store/queue_internal.h"
#include "store/queue_schema.h"
#include "store/small_file.h"

namespace postrider::store {
namespace {

// Pages in the log that are worth a checkpoint. Most of them hold the same few pages again and again, so waiting is
// cheap.
constexpr int kGrownPages = 16'384;
// A log that is not cut back does not have to be made longer again, which costs each flush more than what it writes.
constexpr int kMaxIdleWal = kGrownPages * (4 << 10) * 9 / 8;
// SQLite may keep this many KiB of pages: what is delivered at once is never read from the disk again.
constexpr int kCacheKiB = 64 << 10;
constexpr uint64_t kMaxTakenOctets = 32 << 20;  // of bodies in memory that one take_due() gives
constexpr std::chrono::hours kSweepAge{1};

constexpr int64_t kEightBit = 1, kBinary = 2, kSmtputf8 = 4, kJunk = 128;  // message.flags
constexpr int kKindShift = 3;                                              // two bits more: MailKind
constexpr int kTlsShift = 5;                                               // two bits more: TlsNeed

constexpr int kRandomIdBits = 19;  // beside 41 bits of milliseconds: twelve letters and digits as text
constexpr std::string_view kSetAside = "Two processes ended while they had it in hand";

constexpr const char* kMessageColumns =
    "SELECT id, reverse_path, authenticated_as, client, envid, ret, flags, accepted, size, spool FROM message ";
constexpr const char* kRecipientColumns =
    "SELECT message, number, account, address, original, orcpt, notify, attempts, crashes, warned, next_attempt, "
    "last_reply,"
    " hold, wish FROM recipient ";

QueuedMessage message_of(const Statement& row) {
  QueuedMessage message;
  message.id = row.integer(0);
  message.reverse_path = row.text(1);
  message.authenticated_as = row.text(2);
  message.client = row.text(3);
  message.envid = row.text(4);
  message.ret = row.text(5);
  message.eight_bit = (row.integer(6) & kEightBit) != 0;
  message.binary = (row.integer(6) & kBinary) != 0;
  message.smtputf8 = (row.integer(6) & kSmtputf8) != 0;
  message.junk = (row.integer(6) & kJunk) != 0;
  message.kind = static_cast<MailKind>(row.integer(6) >> kKindShift & 3);
  message.tls = static_cast<TlsNeed>(row.integer(6) >> kTlsShift & 3);
  message.accepted = row.integer(7);
  return message;
}

QueuedRecipient recipient_of(const Statement& row) {
  QueuedRecipient recipient;
  recipient.number = row.integer(1);
  recipient.account = row.integer(2);
  recipient.address = row.text(3);
  recipient.original = row.text(4);
  recipient.orcpt = row.text(5);
  recipient.notify = static_cast<uint8_t>(row.integer(6));
  recipient.attempts = static_cast<int32_t>(row.integer(7));
  recipient.crashes = static_cast<int32_t>(row.integer(8));
  recipient.warned = row.integer(9) != 0;
  recipient.next_attempt = row.is_null(10) ? kInHand : row.integer(10);
  recipient.last_reply = row.text(11);
  recipient.hold = static_cast<Hold>(row.integer(12));
  recipient.wish = static_cast<Wish>(row.integer(13));
  return recipient;
}

std::optional<UnixTime> waiting_until(UnixTime next_attempt) {
  return next_attempt == kInHand ? std::nullopt : std::optional(next_attempt);
}

std::string make_spool_folder(const std::string& state) {
  std::filesystem::create_directories(state);
  std::string path = state + "/spool";
  if (::mkdir(path.c_str(), 0770) == 0) ::chmod(path.c_str(), 02770);
  if (!std::filesystem::is_directory(path)) throw std::system_error(errno, std::generic_category(), path);
  flush_folder(state);
  return path;
}

}  // namespace

std::string destination_of(std::string_view address) {
  return lower(address.substr(address.rfind('@') + 1));
}

QueueId first_id_of(UnixTime time) {
  return time * 1'000 << kRandomIdBits;
}

Queue::Queue(const std::string& state, const Clock& clock)
    : clock_(clock),
      spool_directory_(make_spool_folder(state)),
      database_(state + "/queue.db", OpenMode::create, Sync::full) {
  // A backlog is worked through faster when its pages stay at hand.
  database_.execute(fmt::format("PRAGMA cache_size=-{}; PRAGMA journal_size_limit={}", kCacheKiB, kMaxIdleWal));
  migrate(database_, kQueueMigrations);
  Rows rows(database_.prepare("SELECT max(id) FROM ledger"));
  if (rows.next()) last_id_ = rows->integer(0);
}

QueueId Queue::next_id() {
  auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now().time_since_epoch()).count();
  auto random = static_cast<int64_t>(random_u64() & ((uint64_t{1} << kRandomIdBits) - 1));
  QueueId fresh = milliseconds << kRandomIdBits | random;
  QueueId last = last_id_.load();
  QueueId id = 0;
  do {
    id = std::max(fresh, last + 1);
  } while (!last_id_.compare_exchange_weak(last, id));
  return id;
}

Queue::Recovered Queue::recover(std::span<const InAttempt> in_attempt) {
  Recovered recovered;
  Transaction transaction(database_);
  for (const InAttempt& at : in_attempt) {
    database_
        .prepare(
            "UPDATE recipient SET crashes = crashes + 1 WHERE message = ?1 AND account = ?2 AND next_attempt IS NULL")
        .bind(at.message, at.account)
        .run();
    database_
        .prepare(
            "UPDATE recipient SET hold = ?4, last_reply = ?5 WHERE message = ?1 AND account = ?2"
            " AND next_attempt IS NULL AND crashes >= ?3 AND hold = 0")
        .bind(at.message, at.account, kCrashesToHold, static_cast<int>(Hold::crashes), kSetAside)
        .run();
    if (database_.changes() > 0) recovered.set_aside.push_back(at);
  }
  database_.prepare("UPDATE recipient SET next_attempt = ?1 WHERE next_attempt IS NULL").bind(clock_.unix_time()).run();
  recovered.recipients = database_.changes();
  transaction.commit();
  return recovered;
}

int64_t Queue::hand_back() {
  Transaction transaction(database_);
  database_.prepare("UPDATE recipient SET next_attempt = ?1 WHERE next_attempt IS NULL").bind(clock_.unix_time()).run();
  int64_t found = database_.changes();
  transaction.commit();
  return found;
}

Flushed Queue::commit(std::span<const QueuedMessage* const> accepted, std::span<const RecipientUpdate> updates) {
  FilesToRemove files(spool_directory_);
  Transaction transaction(database_);
  for (const QueuedMessage* message : accepted) insert(*message);
  apply(updates, files);
  transaction.commit();
  for (const QueuedMessage* message : accepted) {
    if (!message->body->in_memory()) message->body->keep();
  }
  files.remove();
  return {};
}

void Queue::update(std::span<const RecipientUpdate> updates) {
  FilesToRemove files(spool_directory_);
  WithoutFlush without_flush(database_);
  Transaction transaction(database_);
  apply(updates, files);
  transaction.commit();
  files.remove();
}

void Queue::insert(const QueuedMessage& message) {
  const Spool& body = *message.body;
  std::string spool = body.in_memory() ? std::string() : std::filesystem::path(body.path()).filename().string();
  int64_t flags = (message.eight_bit ? kEightBit : 0) | (message.binary ? kBinary : 0) |
                  (message.smtputf8 ? kSmtputf8 : 0) | (message.junk ? kJunk : 0) |
                  static_cast<int64_t>(message.kind) << kKindShift | static_cast<int64_t>(message.tls) << kTlsShift;
  database_.prepare("INSERT INTO message VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
      .bind(message.id, message.recipients.size(), message.reverse_path, message.authenticated_as, message.client,
            message.envid, message.ret, flags, message.accepted, body.size(), spool)
      .run();
  if (body.in_memory()) {
    database_.prepare("INSERT INTO body VALUES(?1, ?2)").bind(message.id, Blob{body.memory()}).run();
  }
  enter(message);
  Statement& statement = database_.prepare(
      "INSERT INTO recipient(message, number, account, address, original, orcpt, notify, next_attempt, destination,"
      " last_reply, wish, hold) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");
  for (const QueuedRecipient& recipient : message.recipients) {
    std::string destination = recipient.account == 0 ? destination_of(recipient.address) : std::string();
    statement
        .bind(message.id, recipient.number, recipient.account, recipient.address, recipient.original, recipient.orcpt,
              static_cast<int>(recipient.notify), waiting_until(recipient.next_attempt), destination,
              recipient.last_reply, static_cast<int>(recipient.wish), static_cast<int>(recipient.hold))
        .run();
  }
}

void Queue::apply(std::span<const RecipientUpdate> updates, FilesToRemove& files) {
  int64_t ended = 0;  // of the message at hand
  for (size_t i = 0; i < updates.size(); ++i) {
    const RecipientUpdate& update = updates[i];
    if (update.ended) {
      enter_ending(update);
      database_.prepare("DELETE FROM recipient WHERE message = ?1 AND number = ?2")
          .bind(update.message, update.number)
          .run();
      ended += database_.changes();  // none where it ended before: said twice is said once
    } else {
      if (update.attempted) enter_attempt(update);
      // What the administrator wants to be removed or to bounce comes up at once; the reason of a bounce stays.
      database_
          .prepare(
              "UPDATE recipient SET next_attempt = CASE WHEN wish >= 2 AND ?8 THEN ?7 ELSE ?3 END,"
              " last_reply = CASE WHEN wish = 3 THEN last_reply ELSE ?4 END, attempts = attempts + ?5,"
              " warned = warned | ?6, crashes = 0 WHERE message = ?1 AND number = ?2")
          .bind(update.message, update.number, waiting_until(update.next_attempt), update.last_reply, update.attempted,
                update.warned, clock_.unix_time(), !update.wished)
          .run();
    }
    bool last_of_message = i + 1 == updates.size() || updates[i + 1].message != update.message;
    if (last_of_message && ended > 0) end_recipients(update.message, std::exchange(ended, 0), files);
  }
}

void Queue::end_recipients(QueueId message, int64_t count, FilesToRemove& files) {
  bool gone = false;
  bool has_row = false;
  {
    Rows rows(
        database_.prepare("DELETE FROM message WHERE id = ?1 AND remaining = ?2 RETURNING spool").bind(message, count));
    while (rows.next()) {  // to the end: the row is deleted then
      gone = true;
      has_row = rows->text(0).empty();
      if (!has_row) files.add(rows->text(0));
    }
  }
  if (!gone) {
    database_.prepare("UPDATE message SET remaining = remaining - ?2 WHERE id = ?1").bind(message, count).run();
  } else if (has_row) {
    database_.prepare("DELETE FROM body WHERE message = ?1").bind(message).run();
  }
}

std::vector<QueuedMessage> Queue::take_due(UnixTime now, bool local, size_t limit) {
  static const std::string local_sql =
      std::string(kRecipientColumns) +
      "WHERE next_attempt <= ?1 AND account <> 0 AND hold = 0 ORDER BY next_attempt, message LIMIT ?2";
  static const std::string remote_sql =
      std::string(kRecipientColumns) +
      "WHERE next_attempt <= ?1 AND account = 0 AND hold = 0 ORDER BY next_attempt, message LIMIT ?2";
  WithoutFlush without_flush(database_);
  Transaction transaction(database_);
  std::vector<std::pair<QueueId, QueuedRecipient>> due;
  {
    Rows rows(database_.prepare(local ? local_sql : remote_sql).bind(now, limit));
    while (rows.next()) due.emplace_back(rows->integer(0), recipient_of(*rows.operator->()));
  }
  std::vector<QueuedMessage> taken;
  uint64_t octets = 0;
  Statement& mark = database_.prepare(
      "UPDATE recipient SET next_attempt = NULL, wish = CASE wish WHEN 1 THEN 0 ELSE wish END WHERE message = ?1 AND "
      "number = ?2");
  for (auto& [id, recipient] : due) {
    if (taken.empty() || taken.back().id != id) {
      if (octets >= kMaxTakenOctets) break;
      auto message = load(id);
      if (!message) continue;
      octets += message->body != nullptr ? message->body->memory().size() : 0;
      taken.push_back(std::move(*message));
    }
    mark.bind(id, recipient.number).run();
    recipient.next_attempt = kInHand;
    taken.back().recipients.push_back(std::move(recipient));
  }
  transaction.commit();
  return taken;
}

std::optional<QueuedMessage> Queue::load(QueueId id) {
  static const std::string sql = std::string(kMessageColumns) + "WHERE id = ?1";
  Rows rows(database_.prepare(sql).bind(id));
  if (!rows.next()) {
    log_error("queue_recipient_without_message", {{"msg", queue_id_text(id)}});
    return std::nullopt;
  }
  QueuedMessage message = message_of(*rows.operator->());
  load_body(message, rows->text(9));
  return message;
}

void Queue::load_body(QueuedMessage& message, std::string_view spool) {
  try {
    if (!spool.empty()) {
      message.body = std::make_shared<const Spool>(Spool::adopt(fmt::format("{}/{}", spool_directory_, spool)));
      return;
    }
    Rows rows(database_.prepare("SELECT data FROM body WHERE message = ?1").bind(message.id));
    if (!rows.next()) throw std::runtime_error("its row is missing");
    Spool body(spool_directory_);
    body.append(rows->blob(0));
    message.body = std::make_shared<const Spool>(std::move(body));
  } catch (const std::exception& error) {
    log_error("queue_body_unreadable", {{"msg", queue_id_text(message.id)}, {"reason", error.what()}});
  }
}

int64_t Queue::release(std::string_view destination, size_t limit) {
  WithoutFlush without_flush(database_);
  Transaction transaction(database_);
  int64_t released = make_due(destination, clock_.unix_time(), limit);
  transaction.commit();
  return released;
}

/// One step of making a destination's recipients due; what is due already is left alone.
int64_t Queue::make_due(std::string_view destination, UnixTime now, size_t limit) {
  database_
      .prepare(
          "UPDATE recipient SET next_attempt = ?2 WHERE (message, number) IN (SELECT message, number FROM recipient"
          " WHERE account = 0 AND next_attempt IS NOT NULL AND hold = 0 AND destination = ?1 AND next_attempt > ?2"
          " LIMIT ?3)")
      .bind(destination, now, limit)
      .run();
  return database_.changes();
}

std::optional<UnixTime> Queue::next_due(bool local) {
  Rows rows(database_.prepare(
      local ? "SELECT min(next_attempt) FROM recipient WHERE next_attempt IS NOT NULL AND account <> 0 AND hold = 0"
            : "SELECT min(next_attempt) FROM recipient WHERE next_attempt IS NOT NULL AND account = 0 AND hold = 0"));
  if (!rows.next() || rows->is_null(0)) return std::nullopt;
  return rows->integer(0);
}

std::vector<QueuedMessage> Queue::list(QueueId after, size_t limit) {
  static const std::string messages_sql = std::string(kMessageColumns) + "WHERE id > ?1 ORDER BY id LIMIT ?2";
  static const std::string recipients_sql = std::string(kRecipientColumns) + "WHERE message = ?1 ORDER BY number";
  std::vector<QueuedMessage> found;
  Rows messages(database_.prepare(messages_sql).bind(after, limit));
  while (messages.next()) {
    found.push_back(message_of(*messages.operator->()));
    Rows recipients(database_.prepare(recipients_sql).bind(found.back().id));
    while (recipients.next()) found.back().recipients.push_back(recipient_of(*recipients.operator->()));
  }
  return found;
}

Queue::Counts Queue::counts() {
  Rows rows(database_.prepare("SELECT count(*), coalesce(sum(remaining), 0) FROM message"));
  rows.next();
  return {rows->integer(0), rows->integer(1)};
}

size_t Queue::sweep_spool() {
  std::unordered_set<std::string> named;
  {
    Rows rows(database_.prepare("SELECT spool FROM message WHERE spool <> ''"));
    while (rows.next()) named.emplace(rows->text(0));
  }
  size_t removed = 0;
  std::error_code ignored;  // somebody else may remove a file meanwhile
  auto too_young = std::filesystem::file_time_type::clock::now() - kSweepAge;
  for (const auto& entry : std::filesystem::directory_iterator(spool_directory_)) {
    if (named.contains(entry.path().filename().string()) || entry.last_write_time(ignored) > too_young) continue;
    if (std::filesystem::remove(entry.path(), ignored)) ++removed;
  }
  return removed;
}

void Queue::checkpoint_if_grown() {
  if (database_.wal_pages() >= kGrownPages) database_.checkpoint();
}

}  // namespace postrider::store
