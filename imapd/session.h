// One IMAP connection: a straight line of commands over one table.
//
// The session and all it holds live on one loop. Mail is touched on worker threads only: a handler writes a job, names
// it and awaits on_account(job); meanwhile nothing else of the session runs, so the job may use the session's members
// freely. What is to be sent is gathered in out_ and goes out in one write when the client has to be waited for.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/net/connection.h"
#include "imapd/list.h"
#include "imapd/message_limit.h"
#include "imapd/metrics.h"
#include "imapd/notify.h"
#include "imapd/place.h"
#include "imapd/proto/append_reader.h"
#include "imapd/proto/framer.h"
#include "imapd/proto/parser.h"
#include "imapd/reply.h"
#include "imapd/search_result.h"
#include "imapd/services.h"
#include "imapd/sort.h"
#include "imapd/view.h"
#include "store/message_url.h"

namespace postrider::sasl {
class Authenticator;
struct Channel;
}  // namespace postrider::sasl

namespace postrider::imap {

class FetchRun;

constexpr size_t kMaxBadCommands = 20;      // in a row of a connection that is not logged in
constexpr size_t kMaxFailedLogins = 5;      // in one connection
constexpr size_t kMaxContexts = 10;         // searches that are kept up to date in one session
constexpr size_t kMaxSortContext = 10'000;  // messages in a SORT that is kept up to date
constexpr size_t kSendAt = 64 << 10;        // octets of output that are sent without waiting for the end of a batch
constexpr size_t kKeptOutput = 4 << 10;     // octets of memory that a session keeps for output between batches
constexpr size_t kWorkSlice = 256 << 10;    // octets of output that one job makes at most, about

/// UIDs whose flags this very command changed and reports itself, or keeps silent about; their modseq.
struct OwnFlags {
  store::UidRanges uids;
  store::ModSeq modseq = 0;
};

class Session final : public Listener {
 public:
  /// loop: the number of the loop that it lives on.
  Session(Services& services, std::shared_ptr<net::Connection> connection, size_t loop);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// From the greeting to the end. implicit_tls: the handshake comes first (port 993).
  asio::awaitable<void> run(bool implicit_tls);

  void account_changed(store::AccountId account) override;
  bool idling() const override { return idling_ || listening_; }

 private:
  enum State : unsigned { kNotAuthenticated = 1, kAuthenticated = 2, kSelected = 4, kLogout = 8 };
  enum CommandFlag : unsigned {
    kUids = 1,       // the set names UIDs
    kNumbers = 2,    // message numbers stand still until it has ended (RFC 3501 7.4.1): no EXPUNGE
    kReadOnly = 4,   // EXAMINE
    kMove = 8,       // MOVE, where the same handler does COPY
    kByNumber = 16,  // takes or gives message numbers: not after ENABLE UIDONLY
    kLeave = 32,     // CLOSE, UNSELECT: also where the right to read the mailbox is gone
  };
  using Handler = asio::awaitable<Reply> (Session::*)(Cursor&);
  struct Command {
    std::string_view verb;
    Handler handler;
    unsigned states;
    unsigned flags;
    CommandKind kind = CommandKind::other;
  };
  static const Command* find_command(std::string_view verb);
  bool has_flag(unsigned flag) const { return (command_flags_ & flag) != 0; }
  MessageLimit message_limit() const { return MessageLimit(config_->imap.message_limit); }
  /// Of COPY and APPEND.
  MessageLimit save_limit() const {
    return MessageLimit(config_->imap.message_limit != 0 ? config_->imap.message_limit : config_->imap.save_limit);
  }

  // session.cc: the loop
  asio::awaitable<void> serve(bool implicit_tls);
  asio::awaitable<void> command();
  asio::awaitable<Reply> run_command(const Command& command, Cursor& cursor);
  asio::awaitable<void> message_command();
  asio::awaitable<void> wait_for_input();
  asio::awaitable<void> send();
  asio::awaitable<std::optional<std::string>> read_line();
  void end(std::string_view reason);
  void untagged(std::string_view line);
  void count_bad(const Reply& reply);
  /// The store failed in the middle of a command.
  Reply failed(std::string_view verb, const store::SqliteError& error) const;
  /// An account as the user reads it. On the worker.
  store::Accounts::Lease open(store::AccountId account) { return services_.accounts.open(account, account_->id); }
  /// Runs job(account) on a worker, with the user's account.
  template <class Job>
  asio::awaitable<std::invoke_result_t<Job&, store::Account&>> on_account(Job job) {
    auto work = [&] {
      auto lease = open(account_->id);
      return job(*lease);
    };
    co_return co_await services_.workers.run(std::move(work));
  }
  /// With the account of the selected mailbox.
  template <class Job>
  asio::awaitable<std::invoke_result_t<Job&, store::Account&>> on_selected(Job job) {
    auto work = [&] {
      auto lease = open(selected_.account);
      return job(*lease);
    };
    co_return co_await services_.workers.run(std::move(work));
  }
  /// job(account, place): with the account that a mailbox name leads to.
  template <class Job>
  asio::awaitable<std::invoke_result_t<Job&, store::Account&, const Place&>> on_mailbox(const std::string& name,
                                                                                        Job job) {
    auto work = [&] {
      Place place = find_place(name);
      auto lease = open(place.account);
      return job(*lease, static_cast<const Place&>(place));
    };
    co_return co_await services_.workers.run(std::move(work));
  }
  /// Tells the account's other sessions that something was committed.
  void tell_others(store::AccountId account) { services_.registry.changed(account, loop_, this); }

  // session_updates.cc: what others did, told at the end of a command. On the worker.
  void report_changes(store::Account& account, const OwnFlags& own = {});
  void report_url_key(store::Account& account);
  void report_count();
  void report_expunged(const store::UidRanges& uids);
  void report_flags(store::Account& account, const store::UidRanges& uids, const OwnFlags& own);
  store::MailboxChanges changes_from_snapshot(store::Account& account);
  void announce_keywords(store::Account& account);
  void append_flag_lists();
  void take_recent(const store::UidRanges& uids);
  static void claim_recent(store::Account& account, store::MailboxId mailbox, store::Uid last);
  void deselect();

  // session_auth.cc
  std::string capabilities() const;
  sasl::Channel channel() const;
  bool passwords_allowed() const {
    return connection_->encrypted() || (services_.loopback_is_private && connection_->from_loopback());
  }
  asio::awaitable<Reply> capability(Cursor& arguments);
  asio::awaitable<Reply> noop(Cursor& arguments);
  asio::awaitable<Reply> logout(Cursor& arguments);
  asio::awaitable<Reply> id(Cursor& arguments);
  asio::awaitable<Reply> language(Cursor& arguments);
  asio::awaitable<Reply> comparator(Cursor& arguments);
  asio::awaitable<Reply> enable(Cursor& arguments);
  bool enable_extension(std::string_view name);
  asio::awaitable<Reply> starttls(Cursor& arguments);
  asio::awaitable<Reply> compress(Cursor& arguments);
  asio::awaitable<Reply> unauthenticate(Cursor& arguments);
  asio::awaitable<Reply> login(Cursor& arguments);
  asio::awaitable<Reply> authenticate(Cursor& arguments);
  asio::awaitable<Reply> check_password(std::string user, std::string password);
  struct Candidate;
  asio::awaitable<std::optional<Reply>> look_up(std::string user, Candidate& candidate);
  asio::awaitable<Reply> converse(sasl::Authenticator& authenticator, std::optional<std::string> initial);
  /// version: of the directory, from before it was asked.
  Reply logged_in(store::AccountInfo account, uint64_t version);
  asio::awaitable<bool> still_welcome();
  asio::awaitable<Reply> login_failed();
  asio::awaitable<std::optional<Reply>> banned(std::string user);
  asio::awaitable<Reply> welcome(store::AccountInfo account, uint64_t version);
  std::string with_domain(const std::string& user) const;

  // session_rights.cc: mailboxes of others, and access control lists
  Place find_place(std::string_view name);
  store::StoreResult<store::Mailbox> permitted(store::Account& account, const Place& place, store::Rights needed) const;
  store::StoreResult<void> may_create(store::Account& account, const Place& place) const;
  std::vector<Listed> shared_mailboxes(store::Account& account, std::string_view address, store::Rights needed);
  std::vector<Listed> others_mailboxes(store::Rights needed);
  store::Rights rights_in(store::AccountId whose, store::MailboxId mailbox);
  asio::awaitable<void> refresh_rights();
  bool allows(store::Rights needed) const { return (selected_rights_ & needed) == needed; }
  std::optional<store::AccountId> identifier(std::string_view name);
  void append_my_rights(std::string_view name, store::Rights rights);
  asio::awaitable<Reply> my_rights(Cursor& arguments);
  asio::awaitable<Reply> list_rights(Cursor& arguments);
  asio::awaitable<Reply> get_acl(Cursor& arguments);
  asio::awaitable<Reply> set_acl(Cursor& arguments);
  asio::awaitable<Reply> delete_acl(Cursor& arguments);
  asio::awaitable<Reply> change_acl(AclCommand command, char how, store::Rights rights);

  // session_metadata.cc
  asio::awaitable<Reply> get_metadata(Cursor& arguments);
  asio::awaitable<Reply> set_metadata(Cursor& arguments);
  std::vector<store::Annotation> server_annotations(store::Account& account) const;

  // session_mailboxes.cc
  ListSource list_source(store::Account& account, const ListCommand& command);
  StatusValues status_of(store::Account& account, store::Mailbox mailbox, unsigned items, store::AccountId owner) const;
  void append_details(std::string& out, const ListCommand& command, const Listed& listed);
  asio::awaitable<Reply> list(Cursor& arguments);
  asio::awaitable<Reply> lsub(Cursor& arguments);
  asio::awaitable<Reply> status(Cursor& arguments);
  asio::awaitable<Reply> create(Cursor& arguments);
  asio::awaitable<Reply> delete_named(Cursor& arguments);
  asio::awaitable<Reply> rename(Cursor& arguments);
  asio::awaitable<Reply> subscribe(Cursor& arguments);
  asio::awaitable<Reply> unsubscribe(Cursor& arguments);
  asio::awaitable<Reply> list_namespaces(Cursor& arguments);
  void tell_namespaces();
  asio::awaitable<Reply> set_subscribed(Cursor& arguments, bool subscribed);

  // session_select.cc
  asio::awaitable<Reply> select(Cursor& arguments);
  asio::awaitable<Reply> close(Cursor& arguments);
  asio::awaitable<Reply> unselect(Cursor& arguments);
  Reply describe_selected(const store::MailboxSnapshot& snapshot);
  asio::awaitable<void> tell_missed(const store::MailboxSnapshot& snapshot, const Resync& resync);
  void report_vanished_earlier(const store::UidRanges& uids);

  // session_append.cc
  struct Upload;
  asio::awaitable<Reply> append(Cursor& arguments);
  std::optional<Reply> begin_upload(Cursor& cursor, std::string_view verb, Upload& upload);
  asio::awaitable<Reply> upload_messages(Upload& upload, Cursor cursor, bool literal_follows);
  asio::awaitable<void> take_steps(Upload& upload);
  asio::awaitable<void> take_literal(Upload& upload);
  asio::awaitable<void> receive(Upload& upload, uint64_t count);
  asio::awaitable<void> skip_octets(uint64_t count);
  asio::awaitable<bool> next_stretch(Upload& upload);
  asio::awaitable<void> refuse_early(Upload& upload, uint64_t size);
  asio::awaitable<void> catenate(Upload& upload, std::string url);
  std::optional<store::UrlPart> follow_path(const ImapUrl& url);
  bool copy_part(store::Account& account, store::UrlPart part, Upload& upload);
  asio::awaitable<Reply> commit_upload(Upload& upload);
  Reply store_upload(store::Account& account, const Place& place, Upload& upload);

  // session_fetch.cc
  asio::awaitable<Reply> fetch(Cursor& arguments);
  Reply fetched(const FetchRun& run) const;
  asio::awaitable<void> fetch_all(FetchRun& run);
  asio::awaitable<void> tell_vanished(SequenceSet set, store::ModSeq since);
  OwnFlags set_seen(store::Account& account, const store::UidRanges& uids);

  // session_store.cc
  asio::awaitable<Reply> store(Cursor& arguments);
  asio::awaitable<Reply> copy(Cursor& arguments);
  asio::awaitable<Reply> expunge(Cursor& arguments);
  struct StoreOutcome {
    std::optional<Reply> refused;
    std::optional<store::Flushed> flushed;
    OwnFlags own;
    store::UidRanges modified;  // not changed because of UNCHANGEDSINCE
  };
  struct CopyOutcome {
    store::CopiedUids uids;
    store::Flushed flushed;
  };
  using Copied = store::StoreResult<CopyOutcome>;
  Copied copy_messages(store::Account& from, const store::UidRanges& uids, store::Account& to, const Place& place,
                       bool move);
  Copied move_between(store::Account& from, const store::UidRanges& uids, store::Account& to,
                      const store::Mailbox& mailbox, uint64_t quota, uint64_t kept);
  bool keep_changeable(StoreCommand& command) const;
  bool would_change(store::Account& account, const StoreCommand& command, const store::UidRanges& spans) const;
  StoreOutcome change_flags(store::Account& account, const StoreCommand& command, const store::UidRanges& spans);
  std::optional<Reply> check_numbers(const SequenceSet& set) const;
  store::UidRanges deleted_of(store::Account& account, const store::UidRanges& spans) const;
  void enable_condstore();

  // session_search.cc
  asio::awaitable<Reply> search(Cursor& arguments);
  std::vector<Listed> readable_mailboxes(store::Account& account);
  asio::awaitable<Reply> multisearch(Cursor& arguments);
  asio::awaitable<Reply> sort(Cursor& arguments);
  asio::awaitable<Reply> thread(Cursor& arguments);
  asio::awaitable<std::optional<Reply>> prepare_search(SearchCommand& command);
  std::optional<Reply> insert_filters(store::Account& account, SearchCommand& command) const;
  static SearchKey resolved(store::Account& account, SearchKey key, store::AccountId owner);
  asio::awaitable<Reply> uid_batches(Cursor& arguments);
  SearchAnswer search_answer(const SearchCommand& command) const;
  template <class Step>
  asio::awaitable<void> in_slices(Step step, const std::optional<SearchRun>& run);
  static Reply uid_required() { return Reply::bad("UIDONLY is on: use UIDs.").code("UIDREQUIRED"); }

  // session_quota.cc (RFC 9208)
  asio::awaitable<Reply> get_quota_root(Cursor& arguments);
  asio::awaitable<Reply> get_quota(Cursor& arguments);
  asio::awaitable<Reply> set_quota(Cursor& arguments);
  bool has_quota() const { return account_->quota != 0 || config_->store.max_messages != 0; }
  void tell_quota(store::Account& account);
  void warn_of_quota(store::Account& account);

  // session_urlauth.cc (RFC 4467)
  static constexpr std::string_view kUrlMechanisms = "OK [URLMECH INTERNAL] How URLs are authorized.";
  std::optional<store::UrlPart> follow(const ImapUrl& url);
  bool is_here(const ImapUrl& url) const;
  asio::awaitable<Reply> gen_urlauth(Cursor& arguments);
  asio::awaitable<Reply> url_fetch(Cursor& arguments);
  asio::awaitable<void> send_part(store::UrlPart part);
  asio::awaitable<Reply> reset_key(Cursor& arguments);

  // session_idle.cc
  asio::awaitable<Reply> idle(Cursor& arguments);

  // session_context.cc
  struct SearchContext {
    std::string tag;
    bool uids = false;
    SearchKey key;
    store::UidRanges matching;       // as the client knows
    std::optional<SortRun> sorting;  // of a SORT
  };
  asio::awaitable<Reply> cancel_update(Cursor& arguments);
  void keep_context(const SearchCommand& command, SearchKey key, const std::vector<SearchRun::Found>& found,
                    std::optional<SortRun> sorting = {});
  void tell_context(const SearchContext& context, std::string_view word, size_t position, const store::UidRanges& uids);
  void tell_left(SearchContext& context, const store::UidRanges& uids);
  void tell_come(store::Account& account, SearchContext& context, const store::UidRanges& uids);
  void leave_contexts(const store::UidRanges& expunged);
  void update_contexts(store::Account& account, const store::UidRanges& changed);

  template <class Change>
  store::StoreResult<store::Flushed> edit_mailboxes(store::Account& account, Change&& change);

  // session_notify.cc
  asio::awaitable<Reply> notify(Cursor& arguments);
  Notify::Teller teller();
  std::vector<Notify::Owner> notify_owners(const Notify& notify, const std::vector<Notify::Owner>& kept);
  bool watch(std::vector<Notify::Owner> owners);
  Notify::Picture picture(store::Account& account, const Notify& notify);
  Notify::Picture picture_in(store::Account& account, const Notify::Owner& owner, const Notify& notify);
  std::optional<Notify::Picture> picture_of(const Notify::Owner& owner, const Notify& notify);
  std::optional<Notify::Picture> watched_picture(store::Account& account);
  asio::awaitable<std::vector<Notify::Owner>> follow_owners(std::vector<store::AccountId>& changed);
  void report_watched(store::Account& account, const std::vector<store::AccountId>& changed,
                      const std::vector<Notify::Owner>& gone);
  void stop_notify();
  void notify_overflows();
  asio::awaitable<void> tell_news(bool idle);
  asio::awaitable<void> fetch_new();

  Services& services_;
  std::shared_ptr<net::Connection> connection_;
  const size_t loop_;
  const uint64_t number_;  // for log lines
  std::shared_ptr<const Config> config_;

  Framer framer_;
  std::string out_;
  State state_ = kNotAuthenticated;
  std::string tag_;
  unsigned command_flags_ = 0;

  std::optional<store::AccountInfo> account_;
  uint64_t directory_version_ = 0;  // that account_ was read at, or is newer than
  std::optional<View> view_;
  Place selected_;                     // of view_
  store::Rights selected_rights_ = 0;  // there
  std::optional<Notify> notify_;
  std::vector<Notify::Owner> watched_;                 // that notify_ reaches into; the registry knows
  uint64_t watched_version_ = 0;                       // of the directory, when they were looked up
  std::vector<store::AccountId> changed_;              // since they were told of last; of the loop alone
  std::vector<SearchContext> contexts_;                // of the selected mailbox
  store::UidRanges new_uids_;                          // told by EXISTS, and not fetched for NOTIFY yet
  std::string user_;                                   // for log lines
  std::chrono::steady_clock::time_point login_asked_;  // when the client had said all that was checked
  // What ENABLE switched on.
  bool condstore_ = false;  // RFC 7162 3.1: MODSEQ goes with every FETCH from now on
  bool qresync_ = false;    // RFC 7162 3.2: VANISHED instead of EXPUNGE
  bool uid_only_ = false;   // RFC 9586: UIDs instead of message numbers
  bool utf8_ = false;       // RFC 9755: names and strings are UTF-8
  bool rev2_ = false;       // RFC 9051: also no \Recent, and ESEARCH instead of SEARCH
  bool idling_ = false;
  bool listening_ = false;      // NOTIFY is on
  std::string url_key_;         // of the selected mailbox
  store::Uid last_recent_ = 0;  // of the new mail that this session was told of in the selected mailbox; 0: none
  size_t bad_commands_ = 0;
  size_t failed_logins_ = 0;
  uint64_t commands_ = 0;
  uint64_t octets_out_ = 0;
};

}  // namespace postrider::imap
