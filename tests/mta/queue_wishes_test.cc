// What an administrator changes beside a queue that runs.
#include <gmock/gmock.h>

#include "tests/mta/fake_remote.h"

namespace postrider {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class QueueWishesTest : public RemotePipeline {
 protected:
  /// As mailctl does it: another handle, and then a word to the owner.
  store::Changed change(store::QueueId id, store::QueueChange change, std::string_view reason = {}) {
    store::Queue other(state_.path(), clock_);
    store::QueueFilter filter;
    filter.id = id;
    store::Changed changed = other.change(filter, change, reason);
    runner_->wake();
    return changed;
  }
  std::optional<store::TracedMessage> trace(store::QueueId id) { return store::Queue(state_.path(), clock_).trace(id); }
  store::QueueId accept_for_carol() {
    store::QueuedMessage sent = message({{0, "carol@example.net"}});
    store::QueueId id = sent.id;
    EXPECT_TRUE(accept(std::move(sent)));
    return id;
  }
  /// A first attempt that failed.
  store::QueueId waiting() {
    store::QueueId id = accept_for_carol();
    settle(*remote_->take(), Outcome::temporary("4.3.2", "451 4.3.2 Later"));
    while (queued().at(0).recipients.at(0).next_attempt == store::kInHand) std::this_thread::yield();
    return id;
  }
  void wait_until_gone() {
    while (!queued().empty()) std::this_thread::yield();
  }
};

TEST_F(QueueWishesTest, ARetryIsTriedAtOnce) {
  store::QueueId id = waiting();
  EXPECT_EQ(change(id, store::QueueChange::retry).now, 1);
  auto got = remote_->take();
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->message().id, id);
  EXPECT_EQ(got->message().recipients[0].wish, store::Wish::attempt);
}

TEST_F(QueueWishesTest, WhatBouncesComesBackToItsSenderWithTheReason) {
  store::QueueId id = waiting();
  change(id, store::QueueChange::bounce, "550 5.7.0 This address is closed");
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("550 5.7.0 This address is closed"));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Status: 5.7.0\r\n"));
  wait_until_gone();
  auto told = trace(id);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->recipients.at(0).ending, store::Ending::failed);
  EXPECT_NE(told->recipients[0].report, 0);
  EXPECT_TRUE(trace(told->recipients[0].report)) << "and the report has its own story";
}

TEST_F(QueueWishesTest, WhatIsInHandBouncesWhenItComesBack) {
  store::QueueId id = accept_for_carol();
  auto got = remote_->take();
  EXPECT_EQ(change(id, store::QueueChange::bounce, "550 5.7.0 Closed").later, 1);
  settle(*got, Outcome::temporary("4.3.2", "451 4.3.2 Later"));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("550 5.7.0 Closed"));
}

TEST_F(QueueWishesTest, WhatIsInHandAndToBeRemovedEndsWithoutAReport) {
  store::QueueId id = accept_for_carol();
  auto got = remote_->take();
  EXPECT_EQ(change(id, store::QueueChange::remove).later, 1);
  settle(*got, Outcome::temporary("4.3.2", "451 4.3.2 Later"));
  wait_until_gone();
  EXPECT_EQ(trace(id)->recipients.at(0).ending, store::Ending::removed);
  runner_->stop();
  EXPECT_THAT(inbox(alice_), IsEmpty());
}

TEST_F(QueueWishesTest, WhatWasDeliveredMeanwhileIsNotRemoved) {
  store::QueueId id = accept_for_carol();
  auto got = remote_->take();
  change(id, store::QueueChange::remove);
  Outcome outcome;
  outcome.kind = Outcome::Kind::relayed;
  outcome.reply = "250 2.0.0 ok";
  outcome.remote = "mx.example.net [192.0.2.7]";
  outcome.tls = "TLSv1.3 X";
  settle(*got, outcome);
  wait_until_gone();
  auto told = trace(id)->recipients.at(0);
  EXPECT_EQ(told.ending, store::Ending::relayed);
  EXPECT_EQ(told.remote, "mx.example.net [192.0.2.7]");
  EXPECT_EQ(told.tls, "TLSv1.3 X");
  EXPECT_EQ(told.reply, "250 2.0.0 ok");
}

TEST_F(QueueWishesTest, WhatIsHeldInHandStaysWhenItComesBack) {
  store::QueueId id = accept_for_carol();
  auto got = remote_->take();
  change(id, store::QueueChange::hold);
  settle(*got, Outcome::temporary("4.3.2", "451 4.3.2 Later"));
  while (queued().at(0).recipients.at(0).next_attempt == store::kInHand) std::this_thread::yield();
  clock_.advance(std::chrono::hours(1) - std::chrono::seconds(1));
  runner_->wake();
  accept_for_carol();
  auto other = remote_->take();
  ASSERT_NE(other, nullptr);
  EXPECT_NE(other->message().id, id) << "the queue went round and gave another one";
  change(id, store::QueueChange::release);
  auto again = remote_->take();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->message().id, id);
}

TEST_F(QueueWishesTest, TheLedgerTellsWhereADeliveryLies) {
  store::QueuedMessage sent = to_bob();
  store::QueueId id = sent.id;
  ASSERT_TRUE(accept(std::move(sent)));
  wait_until_gone();
  auto told = trace(id)->recipients.at(0);
  EXPECT_EQ(told.ending, store::Ending::mailbox);
  EXPECT_EQ(told.account, bob_);
  EXPECT_EQ(told.uid, 1U);
  EXPECT_EQ(told.mailbox, accounts_.open(bob_)->find_mailbox("INBOX")->id);
  EXPECT_EQ(told.time, clock_.unix_time());
}

TEST_F(QueueWishesTest, AMessageThatTwoProcessesDiedOnIsSetAside) {
  store::QueueId id = accept_for_carol();
  store::QueueId other = accept_for_carol();
  std::vector<std::shared_ptr<MessageInHand>> got{remote_->take(), remote_->take()};
  for (int deaths = 0; deaths < store::kCrashesToHold; ++deaths) {
    // The file is what the kernel keeps of a process that dies: as it was in the middle of the attempt.
    std::string marks = state_.file("run/attempts"), kept = state_.file("kept");
    {
      AttemptMark mark = got[0]->begin_attempt(0);
      std::filesystem::copy_file(marks, kept, std::filesystem::copy_options::overwrite_existing);
    }
    got.clear();
    // Both are in hand again for who looks at the rows.
    remake([&] {
      store::Queue dead(state_.path(), clock_);
      dead.take_due(clock_.unix_time(), false, 10);
      std::filesystem::copy_file(kept, marks, std::filesystem::copy_options::overwrite_existing);
    });
    if (deaths + 1 < store::kCrashesToHold) {
      got = {remote_->take(), remote_->take()};
      if (got[0]->message().id != id) std::swap(got[0], got[1]);
    }
  }
  auto alone = remote_->take();
  ASSERT_NE(alone, nullptr);
  EXPECT_EQ(alone->message().id, other);
  auto rows = queued();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].id, id);
  EXPECT_EQ(rows[0].recipients[0].hold, store::Hold::crashes);
  EXPECT_EQ(rows[1].recipients[0].hold, store::Hold::none) << "it merely waited in memory";
}

TEST_F(QueueWishesTest, ExpandedAliasesAreToldOfWhenTheMessageIsAccepted) {
  store::QueuedMessage sent = to_bob();
  store::QueuedRecipient team;
  team.original = "team@example.org";
  team.orcpt = "rfc822;team@example.org";
  team.notify = store::kNotifySuccess;
  sent.expanded.push_back(team);
  sent.recipients[0].notify = store::kNotifyNever;
  ASSERT_TRUE(accept(std::move(sent)));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  std::string report = inbox(alice_).at(0);
  EXPECT_THAT(report, HasSubstr("Original-Recipient: rfc822;team@example.org\r\n"
                                "Final-Recipient: rfc822; team@example.org\r\nAction: expanded\r\nStatus: 2.0.0\r\n"));
}

TEST_F(QueueWishesTest, WhatASendmailLeftIsAcceptedOnce) {
  store::QueuedMessage sent = to_bob(), again = to_bob();
  sent.drop = again.drop = "1000.0123456789abcdef";
  ASSERT_TRUE(accept(std::move(sent)));
  ASSERT_TRUE(accept(std::move(again))) << "it is on the disk: its file may go";
  wait_until_gone();
  EXPECT_THAT(inbox(bob_), SizeIs(1));
}

TEST_F(QueueWishesTest, TheLedgerForgets) {
  store::QueuedMessage sent = to_bob();
  store::QueueId id = sent.id;
  ASSERT_TRUE(accept(std::move(sent)));
  wait_until_gone();
  clock_.advance(std::chrono::hours(24) * 15);
  ASSERT_TRUE(trace(id));
  remake([] {});  // a round begins with the start
  while (trace(id)) std::this_thread::yield();
}

}  // namespace
}  // namespace postrider
