// What administrators ask of the queue and do to it, beside the owner. See queue_admin.h.
#include "store/queue_admin.h"

#include <tuple>
#include <unordered_set>
#include <utility>

#include "common/base/ascii.h"
#include "store/queue_internal.h"

namespace postrider::store {
namespace {

constexpr size_t kMaxProbed = 100'000;  // destinations that are remembered as probed in one change

// What a QueueFilter means, as parameters 1 to 6 and 8: the least message and recipient (not included), the first
// message beyond, destination, sender, state, account. One text for every filter: the order of the key decides how rows
// are found, not the filter.
constexpr const char* kMatches =
    " (r.message, r.number) > (?1, ?2) AND r.message < ?3"
    " AND (?4 = '' OR r.destination = ?4"
    "      OR r.account <> 0 AND lower(substr(r.address, -length(?4) - 1)) = '@' || ?4)"
    " AND (?5 IS NULL OR (SELECT reverse_path FROM message WHERE id = r.message) = ?5 COLLATE NOCASE)"
    " AND CASE ?6 WHEN 0 THEN 1 WHEN 1 THEN r.next_attempt IS NOT NULL AND r.hold = 0"
    " WHEN 2 THEN r.hold <> 0 ELSE r.next_attempt IS NULL END AND (?8 = 0 OR r.account = ?8) ";

Statement& bind_filter(Statement& statement, const QueueFilter& filter, QueueId message, int64_t number, size_t limit) {
  QueueId end = filter.accepted_before != 0 ? first_id_of(filter.accepted_before) : INT64_MAX;
  if (filter.id != 0) {
    end = filter.id + 1;
    if (message < filter.id) std::tie(message, number) = std::pair<QueueId, int64_t>(filter.id - 1, INT64_MAX);
  }
  return statement.bind(message, number, end, filter.destination, filter.sender, static_cast<int>(filter.state), limit,
                        filter.account);
}

struct Found {
  QueueId message = 0;
  int64_t number = 0;
  AccountId account = 0;
  bool in_hand = false;
  Hold hold = Hold::none;
  Wish wish = Wish::none;
  std::string destination;
};

std::vector<Found> find_some(Database& database, const QueueFilter& filter, const Found& after) {
  static const std::string sql = std::string(
                                     "SELECT message, number, account, destination"
                                     " FROM recipient r WHERE") +
                                 kMatches + "ORDER BY message, number LIMIT ?7";
  std::vector<Found> found;
  Rows rows(bind_filter(database.prepare(sql), filter, after.message, after.number, kMaxChangeStep));
  while (rows.next()) {
    Found& one = found.emplace_back();
    one.message = rows->integer(0);
    one.number = rows->integer(1);
    one.account = rows->integer(2);
    one.destination = rows->text(3);
  }
  return found;
}

/// What became of it since it was found; false where it is gone.
bool refresh(Database& database, Found& found) {
  Rows rows(
      database.prepare("SELECT next_attempt IS NULL, hold, wish FROM recipient WHERE message = ?1 AND number = ?2")
          .bind(found.message, found.number));
  if (!rows.next()) return false;
  found.in_hand = rows->integer(0) != 0;
  found.hold = static_cast<Hold>(rows->integer(1));
  found.wish = static_cast<Wish>(rows->integer(2));
  return true;
}

/// Which recipients a change makes no difference to.
bool is_idle(QueueChange change, const Found& found) {
  if (change == QueueChange::retry) return found.in_hand || found.hold != Hold::none;
  if (change == QueueChange::hold) return found.hold != Hold::none;
  if (change == QueueChange::release) return found.hold == Hold::none;
  return false;
}

/// What a change makes of a recipient. probe: it is to be tried even where its destination is thought to be dead.
struct Effect {
  Hold hold = Hold::none;
  Wish wish = Wish::none;
  bool due = false;  // where it waits
  bool forgiven = false;
  std::optional<std::string_view> reason;
};

Effect effect_of(QueueChange change, const Found& found, bool probe, std::string_view reason) {
  Wish tried = std::max(found.wish, probe ? Wish::attempt : Wish::none);
  switch (change) {
    case QueueChange::retry:
      return {found.hold, tried, true, false, {}};
    case QueueChange::hold:
      return {Hold::administrator, found.wish, false, false, {}};
    case QueueChange::release:
      return {Hold::none, tried, true, true, {}};
    case QueueChange::remove:  // of one in hand; others end at once
      return {Hold::none, Wish::remove, false, false, {}};
    case QueueChange::bounce:
      return {Hold::none, Wish::bounce, true, false, reason};
  }
  return {};
}

void apply_effect(Database& database, const Found& found, const Effect& effect, UnixTime now) {
  database
      .prepare(
          "UPDATE recipient SET hold = ?3, wish = ?4, crashes = CASE WHEN ?5 THEN 0 ELSE crashes END,"
          " next_attempt = CASE WHEN ?6 AND next_attempt IS NOT NULL THEN ?7 ELSE next_attempt END,"
          " last_reply = coalesce(?8, last_reply) WHERE message = ?1 AND number = ?2")
      .bind(found.message, found.number, static_cast<int>(effect.hold), static_cast<int>(effect.wish), effect.forgiven,
            effect.due, now, effect.reason)
      .run();
}

}  // namespace

std::vector<QueueRow> Queue::rows(const QueueFilter& filter, QueueId after, size_t limit) {
  static const std::string sql = std::string(
                                     "SELECT message, count(*), sum(hold <> 0), sum(next_attempt IS NULL),"
                                     " min(CASE hold WHEN 0 THEN next_attempt END) FROM recipient r WHERE") +
                                 kMatches + "GROUP BY message ORDER BY message LIMIT ?7";
  ReadTransaction snapshot(database_);
  std::vector<QueueRow> found;
  {
    Rows rows(bind_filter(database_.prepare(sql), filter, after, INT64_MAX, limit));
    while (rows.next()) {
      QueueRow& row = found.emplace_back();
      row.id = rows->integer(0);
      row.recipients = rows->integer(1);
      row.held = rows->integer(2);
      row.in_hand = rows->integer(3);
      row.next_attempt = rows->is_null(4) ? 0 : rows->integer(4);
    }
  }
  static const std::string most_tried_sql = std::string("SELECT address, last_reply, attempts FROM recipient r WHERE") +
                                            kMatches + "ORDER BY attempts DESC, number LIMIT ?7";
  for (QueueRow& row : found) {
    Rows message(database_.prepare("SELECT accepted, reverse_path, size FROM message WHERE id = ?1").bind(row.id));
    if (message.next()) {
      row.accepted = message->integer(0);
      row.reverse_path = message->text(1);
      row.size = static_cast<uint64_t>(message->integer(2));
    }
    QueueFilter alone = filter;
    alone.id = row.id;
    Rows recipient(bind_filter(database_.prepare(most_tried_sql), alone, 0, 0, 1));
    if (!recipient.next()) continue;
    row.address = recipient->text(0);
    row.last_reply = recipient->text(1);
    row.attempts = static_cast<int32_t>(recipient->integer(2));
  }
  return found;
}

std::vector<DestinationRow> Queue::destinations(size_t limit) {
  ReadTransaction snapshot(database_);
  std::vector<DestinationRow> found;
  std::vector<QueueId> oldest;
  auto collect = [&](Statement& statement) {
    Rows rows(statement);
    while (rows.next()) {
      DestinationRow row;
      row.destination = rows->text(0);
      row.waiting = rows->integer(1);
      if (row.waiting == 0) continue;
      row.due = rows->integer(2);
      row.next_attempt = rows->integer(3);
      oldest.push_back(rows->integer(4));
      found.push_back(std::move(row));
    }
  };
  UnixTime now = clock_.unix_time();
  collect(database_
              .prepare("SELECT '', count(*), sum(next_attempt <= ?1), min(next_attempt), min(message) FROM recipient"
                       " WHERE next_attempt IS NOT NULL AND account <> 0 AND hold = 0")
              .bind(now));
  collect(
      database_
          .prepare(
              "SELECT destination, count(*), sum(next_attempt <= ?1), min(next_attempt), min(message) FROM recipient"
              " INDEXED BY recipient_destination WHERE next_attempt IS NOT NULL AND account = 0 AND hold = 0"
              " GROUP BY destination ORDER BY 2 DESC, 1 LIMIT ?2")
          .bind(now, limit));
  for (size_t i = 0; i < found.size(); ++i) {
    Rows rows(database_
                  .prepare("SELECT m.accepted, r.last_reply FROM recipient r JOIN message m ON m.id = r.message"
                           " WHERE r.message = ?1 AND (?2 = '' OR r.destination = ?2) ORDER BY r.attempts DESC LIMIT 1")
                  .bind(oldest[i], found[i].destination));
    if (!rows.next()) continue;
    found[i].oldest = rows->integer(0);
    found[i].last_reply = rows->text(1);
  }
  return found;
}

bool Queue::is_waiting(QueueId id) {
  Rows rows(database_.prepare("SELECT 1 FROM message WHERE id = ?1").bind(id));
  return rows.next();
}

QueueSummary Queue::summary() {
  ReadTransaction snapshot(database_);
  QueueSummary summary;
  Counts counted = counts();
  summary.messages = counted.messages;
  summary.recipients = counted.recipients;
  {
    Rows rows(database_.prepare("SELECT sum(hold = 1), sum(hold = 2) FROM recipient WHERE hold <> 0"));
    if (rows.next()) summary.held = rows->integer(0), summary.set_aside = rows->integer(1);
  }
  // Each by an index that has nothing else.
  const auto count = [&](std::string_view sql) {
    Rows rows(database_.prepare(sql));
    return rows.next() ? rows->integer(0) : 0;
  };
  summary.here = count(
      "SELECT count(*) FROM recipient INDEXED BY recipient_local"
      " WHERE next_attempt IS NOT NULL AND account <> 0 AND hold = 0");
  summary.elsewhere = count(
      "SELECT count(*) FROM recipient INDEXED BY recipient_remote"
      " WHERE next_attempt IS NOT NULL AND account = 0 AND hold = 0");
  summary.in_hand = summary.recipients - summary.here - summary.elsewhere -
                    count("SELECT count(*) FROM recipient WHERE hold <> 0 AND next_attempt IS NOT NULL");
  {
    Rows rows(database_.prepare("SELECT accepted FROM message ORDER BY id LIMIT 1"));
    if (rows.next()) summary.oldest = rows->integer(0);
  }
  auto local = next_due(true);
  auto remote = next_due(false);
  if (local || remote) summary.first_due = std::min(local.value_or(INT64_MAX), remote.value_or(INT64_MAX));
  return summary;
}

/// By its index: what is due already is not touched, and the oldest message goes there whatever is thought of it.
Changed Queue::retry_destination(const std::string& destination) {
  UnixTime now = clock_.unix_time();
  Changed changed;
  int64_t step = 0;
  do {
    Transaction transaction(database_);
    step = make_due(destination, now, kMaxChangeStep);
    transaction.commit();
    changed.now += step;
  } while (step == static_cast<int64_t>(kMaxChangeStep));
  Transaction transaction(database_);
  database_
      .prepare(
          "UPDATE recipient SET wish = 1 WHERE wish = 0 AND next_attempt IS NOT NULL AND (message, number) IN"
          " (SELECT message, number FROM recipient WHERE account = 0 AND next_attempt IS NOT NULL AND hold = 0"
          " AND destination = ?1 AND next_attempt <= ?2 ORDER BY next_attempt, message LIMIT 1)")
      .bind(destination, now)
      .run();
  changed.now = std::max(changed.now, database_.changes());
  transaction.commit();
  return changed;
}

Changed Queue::change(const QueueFilter& filter, QueueChange change, std::string_view reason) {
  bool only_destination = !filter.destination.empty() && filter.id == 0 && !filter.sender &&
                          filter.accepted_before == 0 && filter.state == QueueState::any;
  Changed changed;
  if (change == QueueChange::retry && only_destination) changed = retry_destination(filter.destination);
  if (changed.now > 0) return changed;
  UnixTime now = clock_.unix_time();
  std::unordered_set<std::string> probed;
  Found last;
  for (;;) {
    // Looked for without a lock: that may be a long way through a large queue.
    std::vector<Found> step = find_some(database_, filter, last);
    if (step.empty()) return changed;
    FilesToRemove files(spool_directory_);
    Transaction transaction(database_);
    std::vector<RecipientUpdate> ended;
    for (Found& found : step) {
      if (!refresh(database_, found) || is_idle(change, found)) continue;
      ++(found.in_hand ? changed.later : changed.now);
      if (change == QueueChange::remove && !found.in_hand) {
        RecipientUpdate& update = ended.emplace_back();
        update.message = found.message;
        update.number = found.number;
        update.ended = true;
        update.attempted = false;
        update.time = now;
        update.ending = Ending::removed;
        continue;
      }
      if (probed.size() >= kMaxProbed) probed.clear();
      bool probe = found.account == 0 && probed.insert(found.destination).second;
      apply_effect(database_, found, effect_of(change, found, probe, reason), now);
    }
    apply(ended, files);
    transaction.commit();
    files.remove();
    last = step.back();
  }
}

}  // namespace postrider::store
