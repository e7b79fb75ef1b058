// The journal of accepted mail: STATE/queue.db, and STATE/spool/ for bodies over kChunkSize.
//
// A message is here from the moment of its 250 until each of its recipients has ended (delivered, handed over,
// bounced). One thread of mta owns the handle; what several sessions hand in at once is committed together, one flush
// for all.
//
// A recipient waits (next_attempt says until when), is held, or is in hand: being worked on by the running process,
// which will say what became of it. A process that dies leaves recipients in hand; recover() makes them due again. What
// an administrator changes is a change of rows that another process makes: it counts at once for what waits, and for
// what is in hand when that comes back.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "store/queue_admin.h"
#include "store/queue_ledger.h"
#include "store/queue_message.h"
#include "store/sqlite.h"

namespace postrider::store {

/// Processes that may end while they are at a recipient before it is set aside (Hold::crashes).
constexpr int kCrashesToHold = 2;

/// What a process was at when it ended: that recipient of that message, or all of the message's elsewhere (account 0).
struct InAttempt {
  QueueId message = 0;
  AccountId account = 0;
};

/// What follows the last "@" of an address, in lower case.
std::string destination_of(std::string_view address);

class Queue {
 public:
  /// state: the state folder. Throws SqliteError.
  Queue(const std::string& state, const Clock& clock);

  /// A new id: milliseconds and random bits, greater than what this handle gave before. From any thread.
  QueueId next_id();

  struct Recovered {
    int64_t recipients = 0;
    std::vector<InAttempt> set_aside;  // now; Hold::crashes
  };
  /// For the owner, once, before anything else: what an earlier process had in hand is due now. in_attempt: what it was
  /// truly at.
  Recovered recover(std::span<const InAttempt> in_attempt);
  /// For the owner, before it goes away in good order: what it still has in hand waits again. Gives how many
  /// recipients.
  int64_t hand_back();

  /// Everything in one transaction, flushed. A message whose last recipient ended goes, its spool file after the
  /// commit. The bodies of new messages must be synced; their files stay. Throws SqliteError; then nothing was done.
  Flushed commit(std::span<const QueuedMessage* const> accepted, std::span<const RecipientUpdate> updates);
  /// The same, without the flush: for updates alone, which a crash merely repeats.
  void update(std::span<const RecipientUpdate> updates);

  /// Due recipients with their messages, at most limit recipients, those that were due first first; they are in hand
  /// from now on (not flushed: a crash makes them due again). local chooses the kind of recipient. A message whose body
  /// cannot be read has a null body.
  std::vector<QueuedMessage> take_due(UnixTime now, bool local, size_t limit);
  /// Makes what waits for a destination (the domain of an address, in lower case) due now, at most limit recipients.
  /// Gives how many: where that is limit there may be more.
  int64_t release(std::string_view destination, size_t limit);
  /// When the next waiting recipient is due.
  std::optional<UnixTime> next_due(bool local);
  /// Waiting, held and in hand, without bodies, in the order of ids. At most limit messages with a greater id than
  /// after.
  std::vector<QueuedMessage> list(QueueId after, size_t limit);
  struct Counts {
    int64_t messages = 0;
    int64_t recipients = 0;
  };
  Counts counts();

  // For administrators, with a handle of their own; while an owner runs or not. In queue_admin.cc.

  /// Messages that have recipients which the filter means, in the order of ids; at most limit with a greater id than
  /// after.
  std::vector<QueueRow> rows(const QueueFilter& filter, QueueId after, size_t limit);
  /// Where recipients wait for, those with most of them first; held ones and those in hand do not count.
  std::vector<DestinationRow> destinations(size_t limit);
  QueueSummary summary();
  /// In steps of kMaxChangeStep. reason: for bounce, a reply that its sender reads ("550 5.7.0 ..."). What is to bounce
  /// is due, and the owner does it.
  Changed change(const QueueFilter& filter, QueueChange change, std::string_view reason = {});

  bool is_waiting(QueueId id);

  // The ledger. In queue_ledger.cc.

  /// The story of one message; nothing where it was never here or is forgotten.
  std::optional<TracedMessage> trace(QueueId id);
  /// Messages with that Message-ID (with or without its angle brackets), sender or recipient, newest first. Reads the
  /// whole ledger.
  std::vector<QueueId> find(std::string_view text, size_t limit);
  /// Forgets messages that were accepted before and have ended, at most limit of them; where it forgets fewer there are
  /// no more.
  size_t forget(UnixTime before, size_t limit);
  /// Where a message that the sendmail command left under that name was taken before: it is on the disk.
  std::optional<Flushed> taken(std::string_view drop);

  /// Removes spool files that no row names and that are older than an hour. Gives how many.
  size_t sweep_spool();
  const std::string& spool_directory() const { return spool_directory_; }
  void checkpoint_if_grown();

 private:
  class FilesToRemove;
  void insert(const QueuedMessage& message);
  void apply(std::span<const RecipientUpdate> updates, FilesToRemove& files);
  void end_recipients(QueueId message, int64_t count, FilesToRemove& files);
  std::optional<QueuedMessage> load(QueueId id);
  void load_body(QueuedMessage& message, std::string_view spool);
  void enter(const QueuedMessage& message);
  void enter_ending(const RecipientUpdate& update);
  void enter_attempt(const RecipientUpdate& update);
  int64_t make_due(std::string_view destination, UnixTime now, size_t limit);
  Changed retry_destination(const std::string& destination);

  const Clock& clock_;
  std::string spool_directory_;
  Database database_;
  std::atomic<QueueId> last_id_ = 0;
  QueueId forgotten_ = 0;  // this round of forget() went to there
};

/// The least id that a message accepted at that time can have.
QueueId first_id_of(UnixTime time);

}  // namespace postrider::store
