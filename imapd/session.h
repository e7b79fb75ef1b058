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
#include "imapd/proto/framer.h"
#include "imapd/proto/parser.h"
#include "imapd/reply.h"
#include "imapd/services.h"
#include "imapd/view.h"

namespace postrider::sasl {
class Authenticator;
}

namespace postrider::imap {

class FetchRun;

constexpr size_t kMaxBadCommands = 20;    // in a row of a connection that is not logged in
constexpr size_t kMaxFailedLogins = 5;    // in one connection
constexpr size_t kSendAt = 64 << 10;      // octets of output that are sent without waiting for the end of a batch
constexpr size_t kKeptOutput = 4 << 10;   // octets of memory that a session keeps for output between batches
constexpr size_t kWorkSlice = 256 << 10;  // octets of output that one job makes at most, about

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

  void account_changed() override;
  bool idling() const override { return idling_; }

 private:
  enum State : unsigned { kNotAuthenticated = 1, kAuthenticated = 2, kSelected = 4, kLogout = 8 };
  enum CommandFlag : unsigned {
    kUids = 1,      // the set names UIDs
    kNumbers = 2,   // message numbers stand still until it has ended (RFC 3501 7.4.1): no EXPUNGE
    kReadOnly = 4,  // EXAMINE
    kMove = 8,      // MOVE, where the same handler does COPY
  };
  using Handler = asio::awaitable<Reply> (Session::*)(Cursor&);
  struct Command {
    std::string_view verb;
    Handler handler;
    unsigned states;
    unsigned flags;
  };
  static const Command* find_command(std::string_view verb);
  bool has_flag(unsigned flag) const { return (command_flags_ & flag) != 0; }

  // session.cc: the loop
  asio::awaitable<void> serve(bool implicit_tls);
  asio::awaitable<void> command();
  asio::awaitable<Reply> run_command(const Command& command, Cursor& cursor);
  asio::awaitable<void> message_command();
  asio::awaitable<void> send();
  asio::awaitable<std::optional<std::string>> read_line();
  void end(std::string_view reason);
  void untagged(std::string_view line);
  void count_bad(const Reply& reply);
  /// The store failed in the middle of a command.
  Reply failed(std::string_view verb, const store::SqliteError& error) const;
  /// Runs job(account) on a worker.
  template <class Job>
  asio::awaitable<std::invoke_result_t<Job&, store::Account&>> on_account(Job job) {
    auto work = [&] {
      auto lease = services_.accounts.open(account_->id);
      return job(*lease);
    };
    co_return co_await services_.workers.run(std::move(work));
  }
  /// Tells the account's other sessions that something was committed.
  void tell_others() { services_.registry.changed(account_->id, loop_, this); }

  // session_updates.cc: what others did, told at the end of a command. On the worker.
  void report_changes(store::Account& account, const OwnFlags& own = {});
  void report_expunged(const store::UidRanges& uids);
  void report_flags(store::Account& account, const store::UidRanges& uids, const OwnFlags& own);
  store::MailboxChanges changes_from_snapshot(store::Account& account);
  void announce_keywords(store::Account& account);
  void append_flag_lists();
  static void claim_recent(store::Account& account, store::MailboxId mailbox);
  void deselect();

  // session_auth.cc
  std::string capabilities() const;
  bool passwords_allowed() const { return connection_->encrypted() || connection_->from_loopback(); }
  asio::awaitable<Reply> capability(Cursor& arguments);
  asio::awaitable<Reply> noop(Cursor& arguments);
  asio::awaitable<Reply> logout(Cursor& arguments);
  asio::awaitable<Reply> id(Cursor& arguments);
  asio::awaitable<Reply> enable(Cursor& arguments);
  asio::awaitable<Reply> starttls(Cursor& arguments);
  asio::awaitable<Reply> login(Cursor& arguments);
  asio::awaitable<Reply> authenticate(Cursor& arguments);
  asio::awaitable<Reply> check_password(std::string user, std::string password);
  asio::awaitable<Reply> converse(sasl::Authenticator& authenticator, std::optional<std::string> initial);
  Reply logged_in(store::AccountInfo account);
  asio::awaitable<Reply> login_failed();
  asio::awaitable<std::optional<Reply>> banned(std::string user);
  asio::awaitable<Reply> welcome(store::AccountInfo account);
  std::string with_domain(const std::string& user) const;

  // session_mailboxes.cc
  asio::awaitable<Reply> list(Cursor& arguments);
  asio::awaitable<Reply> lsub(Cursor& arguments);
  asio::awaitable<Reply> status(Cursor& arguments);
  asio::awaitable<Reply> create(Cursor& arguments);
  asio::awaitable<Reply> delete_named(Cursor& arguments);
  asio::awaitable<Reply> rename(Cursor& arguments);
  asio::awaitable<Reply> subscribe(Cursor& arguments);
  asio::awaitable<Reply> unsubscribe(Cursor& arguments);
  asio::awaitable<Reply> list_namespaces(Cursor& arguments);
  asio::awaitable<Reply> set_subscribed(Cursor& arguments, bool subscribed);

  // session_select.cc
  asio::awaitable<Reply> select(Cursor& arguments);
  asio::awaitable<Reply> close(Cursor& arguments);
  asio::awaitable<Reply> unselect(Cursor& arguments);
  Reply describe_selected(const store::MailboxSnapshot& snapshot);

  // session_append.cc
  struct Upload;
  asio::awaitable<Reply> append(Upload& upload);
  asio::awaitable<void> receive(Upload& upload);
  asio::awaitable<void> skip_octets(uint64_t count);
  asio::awaitable<std::optional<std::string>> finish_message();
  asio::awaitable<std::optional<Reply>> refuse_early(Upload& upload);
  asio::awaitable<Reply> commit_append(Upload& upload);

  // session_fetch.cc
  asio::awaitable<Reply> fetch(Cursor& arguments);
  asio::awaitable<void> fetch_all(FetchRun& run);
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
  bool would_change(store::Account& account, const StoreCommand& command, const store::UidRanges& spans) const;
  StoreOutcome change_flags(store::Account& account, const StoreCommand& command, const store::UidRanges& spans);
  std::optional<Reply> check_numbers(const SequenceSet& set) const;
  void enable_condstore();

  // session_search.cc
  asio::awaitable<Reply> search(Cursor& arguments);

  // session_idle.cc
  asio::awaitable<Reply> idle(Cursor& arguments);

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
  std::optional<View> view_;
  std::string user_;        // for log lines
  bool condstore_ = false;  // RFC 7162 3.1: MODSEQ goes with every FETCH from now on
  bool idling_ = false;
  bool saw_recent_ = false;  // new mail came in while this mailbox was selected
  size_t bad_commands_ = 0;
  size_t failed_logins_ = 0;
  uint64_t commands_ = 0;
  uint64_t octets_out_ = 0;
};

}  // namespace postrider::imap
