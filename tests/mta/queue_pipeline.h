// The inbound pipeline over a temporary state folder: queue, local delivery, mailboxes.
#pragma once

#include <gtest/gtest.h>

#include <asio.hpp>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

#include "mta/forwarding.h"
#include "mta/queue_runner.h"
#include "mta/tls_reporter.h"
#include "tests/store/temp_state.h"

namespace postrider {

/// Stands still until it is turned; threads of the pipeline look at it meanwhile.
class SharedClock final : public Clock {
 public:
  explicit SharedClock(UnixTime start) : milliseconds_(start * 1'000) {}
  std::chrono::system_clock::time_point now() const override {
    return std::chrono::system_clock::time_point(std::chrono::milliseconds(milliseconds_.load()));
  }
  void advance(std::chrono::milliseconds step) { milliseconds_ += step.count(); }

 private:
  std::atomic<int64_t> milliseconds_;
};

class Pipeline : public testing::Test {
 protected:
  Pipeline() {
    directory_.with([&](store::Directory& directory) {
      EXPECT_TRUE(directory.add_domain("example.org"));
      alice_ = directory.add_account("alice@example.org", {})->id;
      bob_ = directory.add_account("bob@example.org", {})->id;
      return 0;
    });
    options_.state = state_.path();
    options_.system.hostname = "mx.example.org";
    options_.system.separators = "+";
    options_.system.is_user = [](const std::string& name) { return name == "daemon"; };
    options_.schedule.retry = {Seconds(60), Seconds(300)};
    options_.schedule.lifetime = Seconds(3'600);
    options_.schedule.delay_warning = Seconds(0);
    make();
  }
  ~Pipeline() override { runner_.reset(); }

  /// A runner over the same state, not started.
  void make() {
    runner_.reset();
    runner_ = std::make_unique<QueueRunner>(
        options_, accounts_, directory_, [this](const net::Hint& hint) { hinted(hint); }, clock_);
  }
  void start() { runner_->start(); }

  store::QueuedMessage message(std::vector<std::pair<store::AccountId, std::string>> recipients,
                               std::string_view text = "Subject: x\r\n\r\nhello\r\n") {
    store::QueuedMessage made;
    made.id = runner_->next_id();
    made.reverse_path = "alice@example.org";
    made.accepted = clock_.unix_time();
    store::Spool spool(runner_->spool_directory());
    spool.append(text);
    spool.sync();
    made.body = std::make_shared<const store::Spool>(std::move(spool));
    for (auto& [account, address] : recipients) {
      store::QueuedRecipient recipient;
      recipient.number = static_cast<int64_t>(made.recipients.size()) + 1;
      recipient.account = account;
      recipient.address = recipient.original = address;
      made.recipients.push_back(recipient);
    }
    return made;
  }
  store::QueuedMessage to_bob(std::string_view text = "Subject: x\r\n\r\nhello\r\n") {
    return message({{bob_, "bob@example.org"}}, text);
  }

  /// Hands all of them in at once and waits for the answers.
  std::vector<Acceptance> accept_all(std::vector<store::QueuedMessage> messages) {
    asio::io_context loop;
    std::vector<std::optional<Acceptance>> answers(messages.size());
    for (size_t i = 0; i < messages.size(); ++i) {
      auto session = [](QueueRunner& runner, store::QueuedMessage handed_in,
                        std::optional<Acceptance>& answer) -> asio::awaitable<void> {
        Acceptance acceptance = co_await runner.accept(std::move(handed_in));
        answer.emplace(std::move(acceptance));
      };
      asio::co_spawn(loop, session(*runner_, std::move(messages[i]), answers[i]),
                     [](std::exception_ptr error) { EXPECT_EQ(error, nullptr); });
    }
    loop.run();
    std::vector<Acceptance> given;
    for (auto& answer : answers) given.push_back(std::move(*answer));
    return given;
  }
  Acceptance accept(store::QueuedMessage one) {
    std::vector<store::QueuedMessage> messages;
    messages.push_back(std::move(one));
    return accept_all(std::move(messages)).at(0);
  }

  /// Waits until that many transactions wrote to an account, since the beginning of the test. One message at a time
  /// gives one each.
  bool wait_for_deliveries(store::AccountId account, size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return hints_[account] >= count; });
  }
  /// Waits until that many messages are in INBOX.
  bool wait_for_inbox(store::AccountId account, size_t messages) {
    for (;;) {
      size_t seen = hint_count(account);
      if (inbox(account).size() >= messages) return true;
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, std::chrono::seconds(20), [&] { return hints_[account] > seen; })) return false;
    }
  }
  size_t hint_count(store::AccountId account) {
    std::lock_guard lock(mutex_);
    return hints_[account];
  }
  /// Messages of INBOX with our prefix, in order.
  std::vector<std::string> inbox(store::AccountId account) {
    auto lease = accounts_.open(account);
    std::vector<store::MessageId> ids;
    auto mailbox = lease->find_mailbox("INBOX");
    lease->scan(mailbox->id, {1, UINT32_MAX}, store::kWantEntry, [&](const store::MessageRow& row) {
      ids.push_back(row.message);
      return true;
    });
    std::vector<std::string> texts;
    for (store::MessageId id : ids) lease->read(id, 0, 10 << 20, texts.emplace_back());
    return texts;
  }
  std::vector<store::QueuedMessage> queued() { return store::Queue(state_.path(), clock_).list(0, 1'000); }
  template <class Use>
  void change_directory(Use use) {
    directory_.with([&](store::Directory& directory) {
      auto changed = use(directory);
      EXPECT_TRUE(changed);
      return 0;
    });
  }

  void hinted(const net::Hint& hint) {
    std::lock_guard lock(mutex_);
    ++hints_[hint.account];
    last_hint_ = hint;
    changed_.notify_all();
  }

  store::TempState state_;
  SharedClock clock_{1'700'000'000};
  store::DirectoryService directory_{state_.path(), clock_};
  store::Accounts accounts_{state_.path(), 100, clock_};
  store::AccountId alice_ = 0, bob_ = 0;
  QueueRunner::Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<store::AccountId, size_t> hints_;
  net::Hint last_hint_;
  TlsReporter reporter_{state_.path(), clock_};  // the runner's relay's
  Forwarding forwarding_{state_.path(), directory_, clock_};
  std::unique_ptr<QueueRunner> runner_;
};

}  // namespace postrider
