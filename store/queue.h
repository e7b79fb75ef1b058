// The journal of accepted mail: STATE/queue.db, and STATE/spool/ for bodies over kChunkSize.
//
// A message is here from the moment of its 250 until each of its recipients has ended (delivered, handed over, bounced).
// One thread of mta owns the handle; what several sessions hand in at once is committed together, one flush for all.
//
// A recipient waits (next_attempt says until when) or is in hand: being worked on by the running process, which will say
// what became of it. A process that dies leaves recipients in hand; recover() makes them due again.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "store/message_source.h"
#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

/// RFC 3461 NOTIFY, as bits; 0 is "not given".
enum Notify : uint8_t { kNotifyDefault = 0, kNotifyNever = 1, kNotifySuccess = 2, kNotifyFailure = 4, kNotifyDelay = 8 };

/// QueuedRecipient::next_attempt of a recipient that the caller goes on with at once: due() does not give it.
constexpr UnixTime kInHand = -1;

/// No report about a report: what became of one goes to the postmaster, and what became of that to the log.
enum class MailKind : uint8_t { mail = 0, report = 1, double_bounce = 2 };

struct QueuedRecipient {
  int64_t number = 0;             // within the message, from 1
  AccountId account = 0;          // 0: another server's
  std::string address;            // where it goes
  std::string original;           // the forward-path that was given at RCPT, for Delivered-To and reports
  std::string orcpt;              // RFC 3461 ORCPT, as given ("rfc822;..."), or empty
  uint8_t notify = kNotifyDefault;
  int32_t attempts = 0;
  int32_t crashes = 0;            // processes that ended while they had it in hand
  bool warned = false;            // its sender was told that it is delayed
  UnixTime next_attempt = 0;      // or kInHand
  std::string last_reply;         // what was said last, for people
};

struct QueuedMessage {
  QueueId id = 0;
  std::string reverse_path;       // empty: the null reverse-path
  std::string authenticated_as;   // account address, or empty
  std::string client;             // "name [address]" for traces
  std::string envid;              // RFC 3461, decoded; empty: none
  std::string ret;                // "FULL", "HDRS" or empty
  bool eight_bit = false;         // BODY=8BITMIME or BINARYMIME
  bool binary = false;
  bool smtputf8 = false;
  MailKind kind = MailKind::mail;
  UnixTime accepted = 0;
  std::vector<QueuedRecipient> recipients;
  std::shared_ptr<const Spool> body;  // trace fields that every recipient gets (Received) included
};

/// What became of one recipient.
struct RecipientUpdate {
  QueueId message = 0;
  int64_t number = 0;
  bool ended = false;             // remove the row
  UnixTime next_attempt = 0;      // otherwise: when to try again, and what was said
  std::string last_reply;
  bool attempted = true;          // counts as an attempt; not where its destination was known to be dead
  bool warned = false;            // from now on its sender knows that it is delayed
};

/// What follows the last "@" of an address, in lower case.
std::string destination_of(std::string_view address);

class Queue {
 public:
  /// state: the state folder. Throws SqliteError.
  Queue(const std::string& state, const Clock& clock);

  /// A new id: milliseconds and random bits, greater than what this handle gave before. From any thread.
  QueueId next_id();

  /// For the owner, once, before anything else: what an earlier process had in hand is due now. Gives how many recipients.
  int64_t recover();
  /// For the owner, before it goes away in good order: what it still has in hand waits again. Gives how many recipients.
  int64_t hand_back();

  /// Everything in one transaction, flushed. A message whose last recipient ended goes, its spool file after the commit.
  /// The bodies of new messages must be synced; their files stay. Throws SqliteError; then nothing was done.
  Flushed commit(std::span<const QueuedMessage* const> accepted, std::span<const RecipientUpdate> updates);
  /// The same, without the flush: for updates alone, which a crash merely repeats.
  void update(std::span<const RecipientUpdate> updates);

  /// Due recipients with their messages, at most limit recipients, those that were due first first; they are in hand from now
  /// on (not flushed: a crash makes them due again). local chooses the kind of recipient. A message whose body cannot be read
  /// has a null body.
  std::vector<QueuedMessage> take_due(UnixTime now, bool local, size_t limit);
  /// Makes everything that waits for a destination (the domain of an address, in lower case) due now. Gives how many
  /// recipients.
  int64_t release(std::string_view destination);
  /// When the next waiting recipient is due.
  std::optional<UnixTime> next_due(bool local);
  /// Waiting and in hand, without bodies, in the order of ids: for an administrator. At most limit messages with a greater id
  /// than after.
  std::vector<QueuedMessage> list(QueueId after, size_t limit);
  struct Counts {
    int64_t messages = 0;
    int64_t recipients = 0;
  };
  Counts counts();
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

  const Clock& clock_;
  std::string spool_directory_;
  Database database_;
  std::atomic<QueueId> last_id_ = 0;
};

}  // namespace postrider::store
