// Words from one process to another, none of which blocks or gets lost while the receiver is there.
#include "common/net/hint.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <map>
#include <new>
#include <vector>

#include "tests/net/loop.h"

namespace {
thread_local bool out_of_memory = false;  // of this thread
}

// What this program calls for operator new (the linker's --wrap): a sanitizer has its own, which stays.
extern "C" void* __real__Znwm(size_t size);
extern "C" void* __wrap__Znwm(size_t size) {
  if (out_of_memory) throw std::bad_alloc();
  return __real__Znwm(size);
}

namespace postrider::net {
namespace {

class HintTest : public testing::Test {
 protected:
  /// Lets the loop run until a condition holds.
  void run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + Loop::kLimit;
    context_.restart();
    auto work = asio::make_work_guard(context_);
    while (!done() && std::chrono::steady_clock::now() < end) context_.run_one_for(Loop::kLimit);
    EXPECT_TRUE(done());
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "imapd.hint";
  asio::io_context context_{1};
};

TEST_F(HintTest, ArrivesAsItWasSent) {
  std::vector<Hint> got;
  HintReceiver receiver(context_, path_, [&](const Hint& hint) { got.push_back(hint); });
  HintSender sender(path_);
  sender.send(Hint{7, 3, 1234});
  run_until([&] { return !got.empty(); });
  EXPECT_EQ(got[0].account, 7);
  EXPECT_EQ(got[0].mailbox, 3);
  EXPECT_EQ(got[0].modseq, 1234);
}

TEST_F(HintTest, NobodyIsThereAndNothingHappens) {
  HintSender sender(path_);
  for (int i = 0; i < 100; ++i) sender.send(Hint{i, 1, 1});
}

TEST_F(HintTest, WithoutMemoryAHintIsLostAndTheNextIsNot) {
  std::vector<Hint> got;
  HintReceiver receiver(context_, path_, [&](const Hint& hint) { got.push_back(hint); });
  HintSender sender(path_);
  out_of_memory = true;
  EXPECT_NO_THROW(sender.send(Hint{1, 1, 1}));
  out_of_memory = false;
  sender.send(Hint{2, 1, 1});
  run_until([&] { return !got.empty(); });
  EXPECT_EQ(got.front().account, 2);
}

TEST_F(HintTest, AReceiverThatComesLaterIsHeard) {
  HintSender sender(path_);
  sender.send(Hint{1, 1, 1});
  std::vector<Hint> got;
  HintReceiver receiver(context_, path_, [&](const Hint& hint) { got.push_back(hint); });
  sender.send(Hint{2, 1, 1});
  run_until([&] { return !got.empty(); });
  EXPECT_EQ(got[0].account, 2);
}

TEST_F(HintTest, EveryAccountIsToldOfThoughTheReceiversQueueIsFull) {
  constexpr int64_t kAccounts = 5'000;  // the queue of a socket holds about ten datagrams
  std::map<int64_t, int64_t> newest;
  HintReceiver receiver(context_, path_, [&](const Hint& hint) { newest[hint.account] = hint.modseq; });
  HintSender sender(path_);
  for (int64_t account = 1; account <= kAccounts; ++account) sender.send(Hint{account, 1, account * 10});
  run_until([&] { return newest.size() == kAccounts; });
  EXPECT_EQ(newest[kAccounts], kAccounts * 10);
}

TEST_F(HintTest, EveryAccountIsToldOfThoughThereIsNoDescriptorLeft) {
  constexpr int64_t kAccounts = 5'000;
  size_t got = 0;
  HintReceiver receiver(context_, path_, [&](const Hint&) { ++got; });
  HintSender sender(path_);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int64_t account = 1; account <= kAccounts; ++account) sender.send(Hint{account, 1, 1});
  run_until([&] { return got == kAccounts; });
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(HintTest, WordsAboutOneAccountBecomeOneWhileTheReceiverIsBusy) {
  constexpr int64_t kWords = 10'000;
  size_t got = 0;
  Hint last;
  HintReceiver receiver(context_, path_, [&](const Hint& hint) {
    ++got;
    last = hint;
  });
  HintSender sender(path_);
  for (int64_t modseq = 1; modseq <= kWords; ++modseq) sender.send(Hint{1, modseq % 2, modseq});
  run_until([&] { return last.modseq == kWords; });
  EXPECT_LT(got, 1'000U);
  EXPECT_EQ(last.mailbox, 0);  // two mailboxes changed: any
}

TEST_F(HintTest, AnOldSocketFileIsReplaced) {
  auto first = std::make_unique<HintReceiver>(context_, path_, [](const Hint&) {});
  first.reset();
  ASSERT_TRUE(std::filesystem::exists(path_));
  bool got = false;
  HintReceiver second(context_, path_, [&](const Hint&) { got = true; });
  HintSender sender(path_);
  sender.send(Hint{1, 1, 1});
  run_until([&] { return got; });
}

TEST_F(HintTest, TheSocketIsForTheGroup) {
  HintReceiver receiver(context_, path_, [](const Hint&) {});
  struct stat facts {};
  ASSERT_EQ(::stat(path_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0660U);
}

TEST_F(HintTest, APathThatIsTooLongIsAnError) {
  EXPECT_THROW(HintReceiver(context_, folder_ / std::string(200, 'x'), [](const Hint&) {}), std::system_error);
}

}  // namespace
}  // namespace postrider::net
