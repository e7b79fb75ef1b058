// Accounts with a little mail, as they were before each run of a fuzz target, and all that an IMAP session needs beside
// them, on one thread.
#pragma once

#include <asio.hpp>
#include <memory>
#include <string>
#include <vector>

#include "imapd/services.h"
#include "tests/fuzz/fuzz_state.h"

namespace postrider::fuzz {

/// What the store holds of one message, told by itself and not by a session.
struct StoredMessage {
  store::Uid uid = 0;
  std::vector<std::string> flags;  // in lower case, sorted
};

/// alice@example.test has INBOX with some messages of every kind, bob@example.test a mailbox "Shared" that she may
/// use. Her password is "secret"; nobody logs in as bob.
class ImapWorld {
 public:
  static ImapWorld& instance();

  /// Everything as it was, for sessions on that loop.
  void begin(asio::io_context& loop);
  /// After the sessions.
  void end();
  imap::Services& services() { return *services_; }

  // What another session, or a delivery, does to alice's INBOX meanwhile.
  void deliver();
  /// The message at that position, counted from 0 and around.
  void expunge(size_t position);
  void flag(size_t position);
  std::vector<StoredMessage> inbox();

 private:
  ImapWorld();
  ~ImapWorld();
  void make_accounts();
  void open_directory();
  void append(store::AccountId owner, const std::string& mailbox, std::string_view text, store::Flags flags);
  void changed();
  void restore(const std::string& file);
  store::Uid uid_at(size_t position);

  State state_;
  ManualClock clock_{1'800'000'000};
  net::WorkerPool workers_{0};
  store::Accounts accounts_;
  std::unique_ptr<store::DirectoryService> directory_;
  uint64_t directory_version_ = 0;
  sasl::VerifiedCache verified_;
  std::unique_ptr<sasl::FakeRecords> fakes_;
  store::LoginGuard guard_;
  std::unique_ptr<imap::CurrentConfig> config_;
  std::unique_ptr<imap::LoginCache> logins_;
  std::unique_ptr<imap::Registry> registry_;
  std::unique_ptr<imap::Recents> recents_;
  std::unique_ptr<imap::Services> services_;
  store::AccountId alice_ = 0, bob_ = 0;
};

}  // namespace postrider::fuzz
