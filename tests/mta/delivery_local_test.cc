#include <fcntl.h>
#include <gmock/gmock.h>
#include <pthread.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/mta/queue_pipeline.h"

namespace postrider {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using DeliveryTest = Pipeline;

TEST_F(DeliveryTest, AFullMailboxIsTriedAgain) {
  start();
  change_directory([](store::Directory& directory) { return directory.set_quota("bob@example.org", 10); });
  ASSERT_TRUE(accept(to_bob()));
  while (queued().at(0).recipients.at(0).next_attempt == store::kInHand) std::this_thread::yield();
  EXPECT_THAT(queued()[0].recipients[0].last_reply, HasSubstr("452 4.2.2"));
  change_directory([](store::Directory& directory) { return directory.set_quota("bob@example.org", 0); });
  clock_.advance(std::chrono::seconds(66));
  runner_->wake();
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  EXPECT_THAT(inbox(bob_), SizeIs(1));
}

TEST_F(DeliveryTest, AnAccountThatIsGoneBouncesAndIsNotMadeAgain) {
  start();
  store::QueuedMessage sent = to_bob();
  change_directory([](store::Directory& directory) { return directory.remove_account("bob@example.org"); });
  ASSERT_TRUE(accept(std::move(sent)));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("550 5.1.1"));
  EXPECT_FALSE(std::filesystem::exists(accounts_.path_of(bob_)));
}

TEST_F(DeliveryTest, ABrokenAccountHoldsUpNobody) {
  accounts_.open(bob_);
  accounts_.forget(bob_);
  std::filesystem::remove(accounts_.path_of(bob_) + "-wal");
  { std::ofstream(accounts_.path_of(bob_), std::ios::trunc) << std::string(8'192, 'x'); }
  start();
  ASSERT_TRUE(accept(message({{bob_, "bob@example.org"}, {alice_, "alice@example.org"}})));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  runner_->stop();
  auto waiting = queued();
  ASSERT_THAT(waiting, SizeIs(1));
  ASSERT_THAT(waiting[0].recipients, SizeIs(1));
  EXPECT_EQ(waiting[0].recipients[0].account, bob_);
  EXPECT_THAT(waiting[0].recipients[0].last_reply, HasSubstr("451 4.3.0"));
}

TEST_F(DeliveryTest, ALockedAccountHoldsUpNobody) {
  options_.deliverers = 1;
  make();
  start();
  auto lease = accounts_.open(bob_);
  auto edit = std::make_unique<store::Edit>(*lease);
  ASSERT_TRUE(accept(to_bob()));
  ASSERT_TRUE(accept(message({{alice_, "alice@example.org"}})));
  EXPECT_TRUE(wait_for_deliveries(alice_, 1)) << "a second thread is made";
  edit.reset();
  EXPECT_TRUE(wait_for_deliveries(bob_, 1));
}

/// As long as it lives no thread is to be had.
class NoThreads {
 public:
  NoThreads() {
    ::pthread_getattr_default_np(&before_);
    pthread_attr_t impossible;
    ::pthread_attr_init(&impossible);
    ::pthread_attr_setstacksize(&impossible, size_t{1} << 62);
    EXPECT_EQ(::pthread_setattr_default_np(&impossible), 0);
  }
  ~NoThreads() { ::pthread_setattr_default_np(&before_); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t before_;
};

/// What is written to standard error meanwhile.
class CaughtLog {
 public:
  explicit CaughtLog(const std::string& path) : path_(path), before_(::dup(STDERR_FILENO)) {
    const int file = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
  }
  ~CaughtLog() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }
  CaughtLog(const CaughtLog&) = delete;
  CaughtLog& operator=(const CaughtLog&) = delete;
  bool has(std::string_view text) const {
    std::ifstream file(path_);
    return std::string(std::istreambuf_iterator<char>(file), {}).find(text) != std::string::npos;
  }

 private:
  const std::string path_;
  const int before_;
};

TEST_F(DeliveryTest, WithoutAThreadForItALockedAccountHoldsUpOthersButNothingEnds) {
  options_.deliverers = 1;
  make();
  start();
  auto lease = accounts_.open(bob_);
  auto edit = std::make_unique<store::Edit>(*lease);
  {
    const NoThreads none;
    const CaughtLog log(state_.file("log"));
    ASSERT_TRUE(accept(to_bob()));
    ASSERT_TRUE(accept(message({{alice_, "alice@example.org"}})));
    while (!log.has("event=no_thread")) std::this_thread::yield();
    EXPECT_EQ(hint_count(alice_), 0u);
  }
  EXPECT_TRUE(wait_for_deliveries(alice_, 1)) << "it is tried again";
  edit.reset();
  EXPECT_TRUE(wait_for_deliveries(bob_, 1));
}

TEST_F(DeliveryTest, AMessageThatCannotBeReadLeavesTheOthersAlone) {
  start();
  std::string large = "Subject: large\r\n\r\n" + std::string(2 * store::kChunkSize, 'x');
  auto lease = std::make_unique<store::Accounts::Lease>(accounts_.open(bob_));
  auto edit = std::make_unique<store::Edit>(**lease);
  ASSERT_TRUE(accept(to_bob("Subject: first\r\n\r\n\r\n")));  // the deliverer waits with it
  store::QueuedMessage damaged = to_bob(large);
  std::filesystem::resize_file(damaged.body->path(), 100);
  ASSERT_TRUE(accept(std::move(damaged)));
  ASSERT_TRUE(accept(to_bob("Subject: last\r\n\r\n\r\n")));
  edit.reset();
  lease.reset();
  ASSERT_TRUE(wait_for_inbox(bob_, 2));
  runner_->stop();
  EXPECT_THAT(inbox(bob_), SizeIs(2));
  ASSERT_THAT(queued(), SizeIs(1));
  EXPECT_THAT(queued()[0].recipients[0].last_reply, HasSubstr("4.2.0"));
}

TEST_F(DeliveryTest, SuccessIsToldToWhoAskedForIt) {
  start();
  store::QueuedMessage sent = to_bob();
  sent.recipients[0].notify = store::kNotifySuccess;
  ASSERT_TRUE(accept(std::move(sent)));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Action: delivered"));
  runner_->stop();
  EXPECT_THAT(queued(), IsEmpty());
}

TEST_F(DeliveryTest, ADeliveryEndsWithoutAnybodyAsking) {
  start();
  ASSERT_TRUE(accept(to_bob()));
  // The flush comes by itself some time later.
  while (!queued().empty()) std::this_thread::yield();
  EXPECT_THAT(inbox(bob_), SizeIs(1));
}

TEST(DeliveryQueue, AnAccountIsWorkedOnByOneThreadAtATime) {
  MemoryBudget budget(1 << 20, [] {});
  DeliveryQueue queue;
  auto delivery_for = [&](store::AccountId account) {
    store::QueuedMessage message;
    message.recipients.emplace_back();
    message.recipients[0].account = account;
    return Delivery{std::make_shared<MessageInHand>(std::move(message), budget), 0};
  };
  std::vector<Delivery> first;
  for (store::AccountId account : {1, 1, 2}) first.push_back(delivery_for(account));
  queue.push(first);
  auto batch = queue.take();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->account, 1);
  EXPECT_THAT(batch->deliveries, SizeIs(2));
  std::vector<Delivery> more;
  more.push_back(delivery_for(1));
  queue.push(more);
  EXPECT_EQ(queue.take()->account, 2) << "1 is being worked on";
  queue.done(1);
  EXPECT_EQ(queue.take()->account, 1);
  queue.done(1);
  queue.done(2);
  EXPECT_TRUE(queue.is_idle());
  queue.stop();
  EXPECT_FALSE(queue.take());
}

TEST(MemoryBudget, SaysWhenThereIsRoomAgain) {
  int told = 0;
  MemoryBudget budget(100, [&] { ++told; });
  budget.take(60);
  budget.take(60);
  EXPECT_FALSE(budget.has_room());
  budget.give_back(60);
  EXPECT_TRUE(budget.has_room());
  EXPECT_FALSE(budget.has_much_room());
  EXPECT_EQ(told, 0);
  budget.give_back(60);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace postrider
