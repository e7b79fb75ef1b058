// One account's mail: an SQLite file with its mailboxes, messages, flags and the log of what changed.
//
// Every change bumps the account's modseq and leaves a row in the change log, which serves CONDSTORE, QRESYNC, IDLE and
// undelete alike. A message is stored once; entries (mailbox, uid) point to it.
//
// A handle is used by one thread at a time. Reads never wait. A writer waits for the account's lock file (flock, no
// polling), which other threads and the other daemon share.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "store/access_rights.h"
#include "store/account_file.h"
#include "store/annotations.h"
#include "store/message_source.h"
#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

class WriterLock;

enum class StoreFault {
  no_such_mailbox,  // IMAP NONEXISTENT / TRYCREATE
  already_exists,   // IMAP ALREADYEXISTS
  not_allowed,      // IMAP CANNOT
  over_quota,       // IMAP OVERQUOTA, SMTP 4.2.2
  limit,            // IMAP LIMIT: too many mailboxes or keywords, a name too long
  no_permission,    // IMAP NOPERM: the mailbox is another user's
};

struct StoreFailure {
  StoreFault fault;
  std::string message;  // a sentence for the person at the other end
};

template <class T>
using StoreResult = tl::expected<T, StoreFailure>;

constexpr char kHierarchyDelimiter = '/';
constexpr size_t kMaxMailboxes = 20'000;
constexpr size_t kMaxMailboxName = 1'000;  // octets of UTF-8
constexpr size_t kMaxMailboxDepth = 32;

/// A row of mailbox: what LIST and STATUS tell. Names are UTF-8, levels divided by kHierarchyDelimiter; INBOX is
/// "INBOX".
struct Mailbox {
  MailboxId id = 0;
  std::string name;
  std::string special_use;  // "\\Sent" or empty (RFC 6154)
  bool subscribed = false;
  uint32_t uid_validity = 0;
  Uid uid_next = 1;
  ModSeq highest_modseq = 0;
  uint32_t messages = 0;
  uint32_t unseen = 0;
  uint32_t deleted = 0;         // with \Deleted
  uint64_t size = 0;            // octets
  Uid first_recent = 1;         // messages from here on were shown to no session yet
  bool shows_expunged = false;  // nothing enters it but by being expunged elsewhere, and it counts for no quota
};

/// A mailbox as a session sees it when it selects it.
struct MailboxSnapshot {
  Mailbox mailbox;
  UidRanges uids;
  Uid first_unseen = 0;  // 0: none
  ModSeq modseq = 0;     // of the account; changes_since() goes on from here
};

/// What happened in a mailbox since a modseq. A UID is in at most one of added and expunged; flags may name any.
struct MailboxChanges {
  ModSeq modseq = 0;  // go on from here
  bool mailbox_gone = false;
  bool log_lost = false;  // the log does not reach back that far: take a new snapshot instead
  UidRanges added, expunged, flags;
};

/// What a client that was away has missed of a mailbox (RFC 7162 3.2.5).
struct MissedChanges {
  bool log_lost = false;  // the log does not reach back that far: neither list is of use
  UidRanges expunged;     // no message has these any more
  UidRanges changed;      // new, or with other flags; may name messages that are gone
};

/// What a scan is to bring for each message; the cheapest rows come from the entry table alone.
enum Want : unsigned {
  kWantEntry = 0,
  kWantDate = 1,
  kWantEnvelope = 2,
  kWantStructure = 4,
  kWantIndex = 8,
  kWantHead = 16
};

/// Views are valid during the visit only.
struct MessageRow {
  Uid uid = 0;
  ModSeq modseq = 0;
  Flags flags;
  Flags stored;  // with the owner's \Seen, whoever reads
  MessageId message = 0;
  uint64_t size = 0;               // RFC822.SIZE: prefix and message
  UnixTime saved = 0;              // when it came into this mailbox
  UnixTime internal_date = 0;      // kWantDate
  uint32_t prefix_size = 0;        // kWantIndex or kWantHead: octets before the message that the index counts from
  std::string_view envelope;       // kWantEnvelope
  std::string_view bodystructure;  // kWantStructure
  std::string_view index;          // kWantIndex: MimeIndex::deserialize
  std::string_view prefix;         // kWantHead: our own fields before the message (Return-Path, Delivered-To)
  std::string_view head;           // kWantHead: the root header, at most kMaxInlineHead of it
  uint64_t head_size = 0;          // kWantHead: the root header's true size, with the empty line
};

/// A message that was expunged, and may come back. Views are valid during the visit only.
struct KeptMessage {
  int64_t id = 0;             // for Edit::restore
  MailboxId mailbox = 0;      // where it was
  std::string_view name;      // of that mailbox
  bool mailbox_gone = false;  // deleted, with this message or since
  UnixTime expunged = 0;      // when
  uint64_t size = 0;          // octets
  MessageId message = 0;      // for Account::read
};

/// What maintain() removes.
struct Retention {
  UnixTime expunged_before = 0;              // messages that were expunged before that time
  UnixTime log_before = 0;                   // rows of the log
  std::span<const AccountId> accounts = {};  // all there are, sorted; what others kept here goes with them. Empty: any
  uint64_t max_kept = UINT64_MAX;            // octets of expunged messages; the oldest go first
};

class Account {
 public:
  /// Opens and migrates; create also makes the file, INBOX and the special-use mailboxes. Throws SqliteError, also for
  /// a file that knows less than was flushed (account_file.h).
  Account(const std::string& path, AccountId id, OpenMode mode, const Clock& clock);
  ~Account();
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  AccountId id() const { return id_; }

  /// Whose \Seen this handle shows and changes from now on (RFC 4314 4): the owner's, for 0 and the owner, or a
  /// reader's own. It is in what scan(), snapshot(), changes_since() and missed_since() give, and Edit sets it.
  void read_as(AccountId reader) { reader_ = reader == id_ ? 0 : reader; }
  /// Gives a mailbox the count of what the reader has not seen, and the modseq of what the reader changed last.
  void count_for_reader(Mailbox& mailbox);

  std::vector<Mailbox> mailboxes();
  std::optional<Mailbox> find_mailbox(std::string_view name);
  std::optional<Mailbox> mailbox(MailboxId id);
  /// Names that are subscribed, whether the mailbox still exists or not (RFC 9051 6.3.7).
  std::vector<std::string> subscriptions();
  ModSeq modseq();

  std::optional<MailboxSnapshot> snapshot(MailboxId id);
  /// own: an edit whose flags the caller knows already.
  MailboxChanges changes_since(MailboxId id, ModSeq since, ModSeq own = 0);
  MissedChanges missed_since(MailboxId id, ModSeq since);
  /// Messages from this UID on.
  uint32_t count_from(MailboxId id, Uid first);
  /// Keyword names by bit: keywords()[0] is bit Flags::kFirstKeywordBit.
  std::vector<std::string> keywords();

  /// Visits the messages of a range in UID order until visit returns false. No writing in between.
  void scan(MailboxId mailbox, UidRange range, unsigned wants, const std::function<bool(const MessageRow&)>& visit);
  /// Visits messages whose id is greater, by id, whether they are in a mailbox or not: with kWantIndex and kWantHead,
  /// no UID and no flags.
  void scan_messages(MessageId after, const std::function<bool(const MessageRow&)>& visit);
  /// Appends to out at most length octets of a message (prefix included) from offset; fewer at its end. Length is best
  /// kept at or below kChunkSize.
  void read(MessageId message, uint64_t offset, uint64_t length, std::string& out);

  /// What a user may do with a mailbox; the owner everything (RFC 4314).
  Rights rights_of(MailboxId mailbox, AccountId user);
  std::vector<Grant> grants(MailboxId mailbox);
  /// Mailboxes whose lists name this account, or everybody, by name; their names are of one moment.
  std::vector<Mailbox> shared_mailboxes(AccountId user);
  /// What a user sees of a mailbox's annotations, by name.
  std::vector<Annotation> annotations(MailboxId mailbox, AccountId user);
  /// Annotations of any mailbox that were set or removed after that.
  std::vector<Annotation> annotations_since(ModSeq since, AccountId user);

  /// The key of a mailbox by which URLs are authorized; empty: there is none (message_url.h).
  std::string url_key(MailboxId mailbox);

  /// The thread of a message, named by the message that began it; 0: no such message (RFC 8474).
  MessageId thread_of(MessageId message);
  /// The messages of a thread.
  std::vector<MessageId> thread(MessageId thread);

  /// Octets of its messages; what is expunged does not count.
  uint64_t used_bytes();
  uint64_t used_messages();
  /// What would make more messages than that is over quota too; 0: any number.
  void limit_messages(uint64_t most) { most_messages_ = most; }
  /// Octets of the messages of a mailbox that have \Deleted.
  uint64_t deleted_bytes(MailboxId mailbox);
  /// Visits what was expunged and is still here, in the order in which it was. No writing in between.
  void scan_kept(const std::function<bool(const KeptMessage&)>& visit);
  /// The mailbox that shows what was expunged, where there is one.
  std::optional<MailboxId> expunged_mailbox();
  /// Makes all that was committed durable: one flush of the file's log.
  Flushed flush();
  /// Background work: a checkpoint, and what is not to be kept longer is purged.
  void maintain(const Retention& retention);
  int wal_pages() const { return database_.wal_pages(); }
  /// Of the file that this handle is of (account_file.h).
  ino_t file_identity() const { return identity_; }
  /// The file is not what it should be; the handle is of no more use.
  bool damaged() const { return database_.damaged(); }
  /// Another file has taken its place or that of its log, or none.
  bool has_moved() { return database_.has_moved(); }
  void checkpoint() { database_.checkpoint(); }
  void shorten_wal() noexcept { database_.shorten_wal(); }
  int64_t data_version() { return database_.data_version(); }
  /// Lets go of what a cached handle need not keep.
  void release_memory();

 private:
  friend class Edit;
  friend class SearchIndex;
  void prepare_state();
  void create_default_mailboxes();
  UnixTime kept_within(uint64_t octets);
  void scan_stored(MailboxId mailbox, UidRange range, unsigned wants,
                   const std::function<bool(const MessageRow&)>& visit);
  UidRanges reader_changes(MailboxId mailbox, ModSeq since);
  void forget_unneeded(const Retention& retention, bool purged);
  void forget_accounts_but(std::span<const AccountId> accounts);
  void join_seen_runs(ModSeq up_to);
  bool has_messages(MailboxId mailbox, UidRange range);
  UidRanges uids_of(const Mailbox& mailbox);
  AccountId id_;
  AccountId reader_ = 0;  // 0: the owner
  const Clock& clock_;
  AccountFile file_;
  const ModSeq flushed_before_;  // when it was opened
  ino_t identity_ = 0;
  Database database_;
  uint64_t most_messages_ = 0;
  // The chunk that was read last: bodies are read in pieces.
  int64_t cached_chunk_ = -1;
  std::string chunk_;
};

enum class FlagChange { replace, add, remove };

struct StoredFlags {
  UidRanges changed;   // flags are now different
  UidRanges modified;  // left alone: modseq above unchanged_since (RFC 7162 3.1.3)
};

/// For COPYUID: from[i] became to[i], in order; both hold the same number of UIDs.
struct CopiedUids {
  UidRanges from, to;
  uint32_t uid_validity = 0;
};

/// One atomic change of an account. Holds the writer lock from construction on; rolled back unless committed.
class Edit {
 public:
  explicit Edit(Account& account);
  ~Edit();
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;

  /// delivery: the queue's id of the message, a negative key of one that is imported, or 0. A delivery that this
  /// account already had appends nothing and gives UID 0. quota: 0 for none. prefix: trace fields for this recipient
  /// alone, complete lines with CRLF.
  StoreResult<Uid> append(MailboxId mailbox, const PreparedMessage& message, std::string_view prefix, Flags flags,
                          UnixTime internal_date, QueueId delivery, uint64_t quota);
  /// kept: flags outside of these are not taken along.
  StoreResult<CopiedUids> copy(MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota,
                               uint64_t kept = ~uint64_t{0});
  /// quota: for what comes back from the mailbox of expunged messages; nothing else becomes more by being moved.
  StoreResult<CopiedUids> move(MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota = 0,
                               uint64_t kept = ~uint64_t{0});
  /// Messages of another account, only read; where both have an Edit, the one of the lower number is taken first.
  StoreResult<CopiedUids> copy_from(Account& other, MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota,
                                    uint64_t kept);
  /// changeable: all other flags stay as they are.
  StoredFlags store_flags(MailboxId mailbox, const UidRanges& uids, FlagChange change, Flags flags,
                          std::optional<ModSeq> unchanged_since, uint64_t changeable = ~uint64_t{0});
  /// Removes what has \Deleted; of uids only, when given. Kept for undelete until maintain() purges it.
  UidRanges expunge(MailboxId mailbox, const UidRanges* uids);
  /// Removes these, whatever flags they have; kept likewise.
  UidRanges remove(MailboxId mailbox, const UidRanges& uids);
  /// The bits of these keywords, new ones made.
  StoreResult<Flags> keyword_bits(const std::vector<std::string>& names);
  /// Messages up to last are recent to no later session (RFC 3501 2.3.2).
  void claim_recent(MailboxId mailbox, Uid last);

  /// Makes missing levels above it too (RFC 9051 6.3.4).
  StoreResult<MailboxId> create_mailbox(std::string_view name, std::string_view special_use);
  StoreResult<void> delete_mailbox(std::string_view name);
  /// With its children; renaming INBOX moves its messages to a new mailbox (RFC 9051 6.3.6).
  StoreResult<void> rename_mailbox(std::string_view from, std::string_view to);
  StoreResult<void> subscribe(std::string_view name, bool subscribed);
  /// Sets an entry of a mailbox's access control list; without rights, removes it.
  StoreResult<void> grant(MailboxId mailbox, const Grant& grant);
  /// The mailboxes of this name and above that this edit made get the list of the one above them.
  void inherit_rights(std::string_view name);
  /// user: whose it is when it is private.
  StoreResult<void> annotate(const Annotation& annotation, AccountId user);

  // --- message_url.cc: keys of URLs
  /// The key of a mailbox, made where there is none.
  std::string make_url_key(MailboxId mailbox);
  /// URLs that were authorized by it are good for nothing from now on; without a mailbox, those of all.
  void forget_url_keys(std::optional<MailboxId> mailbox);

  // --- edit_kept.cc: what was expunged
  /// Brings messages back, by KeptMessage::id: into the mailbox where they were, which is made again when it is gone,
  /// or into another; with new UIDs, without \Deleted. Gives how many; those that are not kept any more are passed
  /// over.
  StoreResult<size_t> restore(const std::vector<int64_t>& kept, std::optional<MailboxId> to);
  /// A mailbox of that name shows what is expunged, now and later. Refused where there is an ordinary one of that name.
  StoreResult<void> show_expunged(std::string_view name);
  void hide_expunged();
  /// Forgets some of what was expunged before that time, for ever. False: nothing is left.
  bool purge_kept(UnixTime before);

  /// Visible to everybody; durable after the next flush only.
  void commit();
  /// Visible and durable. Throws NotFlushed where it is committed and the disk fails.
  Flushed commit_flushed();

  ModSeq modseq() const { return modseq_; }
  /// Mailboxes that this edit changed, for hints to other sessions; empty when nothing was changed.
  std::vector<MailboxId> touched() const;

 private:
  enum class Kind : int { added = 1, expunged = 2, flags = 3, mailbox = 4 };
  struct Delta;

  Delta* delta(MailboxId mailbox);  // null: no such mailbox
  void count_message(Delta& delta, Flags flags, uint64_t size, int sign);
  std::optional<StoreFailure> no_room(uint64_t more, uint64_t quota);
  void store_message(MessageId id, const PreparedMessage& message, std::string_view prefix, UnixTime internal_date);
  MessageId join_thread(MessageId message, const std::vector<int64_t>& keys);
  void insert_entry(MailboxId mailbox, Uid uid, Flags flags, MessageId message, uint64_t size);
  Flags entering(Delta& target, Uid uid, Flags flags);
  StoredFlags store_entry_flags(MailboxId mailbox, const UidRanges& uids, FlagChange change, Flags flags,
                                std::optional<ModSeq> unchanged_since, uint64_t changeable);
  StoredFlags store_reader_seen(MailboxId mailbox, const UidRanges& uids, FlagChange change, Flags flags,
                                std::optional<ModSeq> unchanged_since, uint64_t changeable);
  void mark_seen(MailboxId mailbox, const UidRanges& runs, bool seen);
  void forget_lost_readers(MailboxId mailbox);
  UidRanges remove_entries(MailboxId mailbox, const UidRanges& uids, uint64_t with_flags);
  StoreResult<CopiedUids> copy_entries(MailboxId from, const UidRanges& uids, MailboxId to, uint64_t quota,
                                       uint64_t kept, bool remove);
  void remember_tombstones();
  void forget_tombstones(UidRange shown);
  void remove_shown(MailboxId view, Uid uid);
  void show_tombstones(MailboxId in, int64_t after);
  StoreResult<MailboxId> place_of(MailboxId mailbox);
  void free_messages(const std::vector<MessageId>& candidates);
  bool copy_message(Account& other, MessageId source, MessageId target);
  std::vector<MessageRow> read_slice(MailboxId mailbox, UidRange range);
  std::optional<MailboxId> find(std::string_view name);
  MailboxId insert_mailbox(std::string_view name, std::string_view special_use);
  void write_log();
  void bump();  // the account's modseq, for what no mailbox's log tells

  Account& account_;
  std::unique_ptr<WriterLock> lock_;
  std::unique_ptr<Transaction> transaction_;
  ModSeq modseq_ = 0;
  int64_t next_message_ = 0;
  bool changed_ = false;                   // something was written, be it only what has no modseq
  std::optional<uint64_t> used_messages_;  // likewise
  std::optional<uint64_t> used_;           // octets of the account, once somebody asked
  std::optional<int64_t> tombstones_;      // the last one before this edit made some
  std::map<MailboxId, std::unique_ptr<Delta>> deltas_;
};

}  // namespace postrider::store
