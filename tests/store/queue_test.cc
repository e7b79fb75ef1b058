#include "store/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/store/queue_fixture.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(QueueTest, GivesBackAllOfWhatItTook) {
  QueuedMessage message = make({7});
  message.reverse_path = "jürgen@example.net";
  message.authenticated_as = "bob@example.org";
  message.client = "mx.example.net [192.0.2.1]";
  message.envid = "QQ314159";
  message.ret = "HDRS";
  message.eight_bit = message.smtputf8 = true;
  message.kind = MailKind::double_bounce;
  message.recipients[0].original = "Alice+x@Example.org";
  message.recipients[0].orcpt = "rfc822;alice@example.com";
  message.recipients[0].notify = kNotifyFailure | kNotifyDelay;
  accept(message);
  open();

  auto due = take_local();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].id, message.id);
  EXPECT_EQ(due[0].reverse_path, message.reverse_path);
  EXPECT_EQ(due[0].authenticated_as, message.authenticated_as);
  EXPECT_EQ(due[0].client, message.client);
  EXPECT_EQ(due[0].envid, message.envid);
  EXPECT_EQ(due[0].ret, message.ret);
  EXPECT_TRUE(due[0].eight_bit);
  EXPECT_FALSE(due[0].binary);
  EXPECT_TRUE(due[0].smtputf8);
  EXPECT_EQ(due[0].kind, MailKind::double_bounce);
  EXPECT_EQ(due[0].accepted, clock_.unix_time());
  EXPECT_EQ(text_of(due[0]), "Subject: x\r\n\r\nhello\r\n");
  ASSERT_THAT(due[0].recipients, SizeIs(1));
  EXPECT_EQ(due[0].recipients[0].account, 7);
  EXPECT_EQ(due[0].recipients[0].original, "Alice+x@Example.org");
  EXPECT_EQ(due[0].recipients[0].orcpt, "rfc822;alice@example.com");
  EXPECT_EQ(due[0].recipients[0].notify, kNotifyFailure | kNotifyDelay);
}

TEST_F(QueueTest, IdsGrowWithinOneMillisecondToo) {
  QueueId last = 0;
  for (int i = 0; i < 10'000; ++i) {
    QueueId id = queue_->next_id();
    ASSERT_GT(id, last);
    last = id;
  }
  EXPECT_EQ(parse_queue_id(queue_id_text(last)), last);
}

TEST_F(QueueTest, IdsGrowOverAClockThatWasSetBack) {
  QueuedMessage message = make({1});
  accept(message);
  clock_.advance(-std::chrono::hours(1));
  open();
  EXPECT_GT(queue_->next_id(), message.id);
}

TEST_F(QueueTest, AMessageGoesWithItsLastRecipient) {
  QueuedMessage message = make({1, 2, 0});
  accept(message);
  EXPECT_EQ(queue_->counts().recipients, 3);
  update(ended(message.id, 2));
  update(ended(message.id, 2));  // said twice is said once
  update(ended(message.id, 1));
  EXPECT_EQ(queue_->counts().messages, 1);
  EXPECT_EQ(queue_->counts().recipients, 1);
  update(ended(message.id, 3));
  EXPECT_EQ(queue_->counts().messages, 0);
  update(ended(message.id, 3));
  EXPECT_EQ(queue_->counts().messages, 0);
}

TEST_F(QueueTest, ALargeBodyLiesInTheSpoolUntilItsMessageGoes) {
  std::string text = "Subject: large\r\n\r\n" + std::string(3 * kChunkSize, 'x');
  {
    QueuedMessage message = make({1}, text);
    accept(message);
  }
  EXPECT_EQ(spool_files(), 1U);
  open();
  auto due = take_local();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(text_of(due[0]), text);
  update(ended(due[0].id, 1));
  EXPECT_EQ(spool_files(), 0U);
}

TEST_F(QueueTest, ABodyThatWasNotCommittedLeavesNoFile) {
  { QueuedMessage message = make({1}, std::string(2 * kChunkSize, 'x')); }
  EXPECT_EQ(spool_files(), 0U);
}

TEST_F(QueueTest, AFailedCommitLeavesNothingOfItsGroup) {
  QueuedMessage first = make({1});
  QueuedMessage twin = make({1});
  twin.id = first.id;
  const QueuedMessage* accepted[] = {&first, &twin};
  EXPECT_THROW(queue_->commit(accepted, {}), SqliteError);
  EXPECT_EQ(queue_->counts().messages, 0);
  accept(first);
  EXPECT_EQ(queue_->counts().messages, 1);
}

TEST_F(QueueTest, OneCommitTakesMessagesAndEndsOthers) {
  QueuedMessage old = make({1});
  accept(old);
  QueuedMessage bounce = make({2});
  const QueuedMessage* accepted[] = {&bounce};
  RecipientUpdate updates[] = {ended(old.id, 1)};
  queue_->commit(accepted, updates);
  auto due = take_local();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].id, bounce.id);
}

TEST_F(QueueTest, WhatIsTakenIsNotGivenAgain) {
  accept(make({1}));
  EXPECT_THAT(take_local(), SizeIs(1));
  EXPECT_THAT(take_local(), IsEmpty());
  EXPECT_EQ(queue_->next_due(true), std::nullopt);
}

TEST_F(QueueTest, WhatIsAcceptedInHandIsNotGiven) {
  QueuedMessage message = make({1});
  message.recipients[0].next_attempt = kInHand;
  accept(message);
  EXPECT_THAT(take_local(), IsEmpty());
}

TEST_F(QueueTest, WhatADeadProcessHadInHandIsDueAgain) {
  accept(make({1}));
  take_local();
  open();
  EXPECT_THAT(take_local(), IsEmpty());
  EXPECT_EQ(queue_->recover({}).recipients, 1);
  auto due = take_local();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].recipients[0].crashes, 0) << "it was in memory, and nobody was at it";
}

TEST_F(QueueTest, WhatTwoProcessesDiedOnIsSetAside) {
  QueuedMessage message = make({1});
  accept(message);
  accept(make({1}));
  const InAttempt at[] = {{message.id, 1}};
  take_local();
  open();
  EXPECT_THAT(queue_->recover(at).set_aside, IsEmpty());
  auto due = take_local();
  ASSERT_THAT(due, SizeIs(2));
  EXPECT_EQ(due[0].recipients[0].crashes, 1);
  open();
  EXPECT_THAT(queue_->recover(at).set_aside, SizeIs(1));
  due = take_local();
  ASSERT_THAT(due, SizeIs(1)) << "the other one goes on";
  EXPECT_NE(due[0].id, message.id);
  auto kept = queue_->list(0, 10).at(0).recipients.at(0);
  EXPECT_EQ(kept.hold, Hold::crashes);
  EXPECT_EQ(kept.last_reply, "Two processes ended while they had it in hand");
}

TEST_F(QueueTest, AnAnswerBetweenTwoCrashesClearsTheMessage) {
  QueuedMessage message = make({1});
  accept(message);
  const InAttempt at[] = {{message.id, 1}};
  take_local();
  queue_->recover(at);
  take_local();
  RecipientUpdate later;
  later.message = message.id;
  later.number = 1;
  later.next_attempt = clock_.unix_time();
  update(later);
  take_local();
  EXPECT_THAT(queue_->recover(at).set_aside, IsEmpty());
  EXPECT_THAT(take_local(), SizeIs(1));
}

TEST_F(QueueTest, OnlyWhatWasInHandIsBlamedForACrash) {
  QueuedMessage message = make({1, 0});
  accept(message);
  const InAttempt at[] = {{message.id, 1}};
  take_local();  // the one elsewhere waits
  queue_->recover(at);
  auto both = queue_->list(0, 10).at(0).recipients;
  EXPECT_EQ(both[0].crashes, 1);
  EXPECT_EQ(both[1].crashes, 0);
}

TEST_F(QueueTest, WhatIsHandedBackWaitsWithoutACrash) {
  accept(make({1}));
  take_local();
  EXPECT_EQ(queue_->hand_back(), 1);
  open();
  EXPECT_EQ(queue_->recover({}).recipients, 0);
  EXPECT_EQ(take_local().at(0).recipients[0].crashes, 0);
}

TEST_F(QueueTest, ARecipientWaitsForItsTime) {
  QueuedMessage message = make({1});
  accept(message);
  take_local();
  RecipientUpdate later;
  later.message = message.id;
  later.number = 1;
  later.next_attempt = clock_.unix_time() + 60;
  later.last_reply = "452 4.2.2 The mailbox is full";
  update(later);
  EXPECT_EQ(queue_->next_due(true), clock_.unix_time() + 60);
  EXPECT_THAT(take_local(), IsEmpty());
  clock_.advance(std::chrono::seconds(60));
  auto due = take_local();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].recipients[0].attempts, 1);
  EXPECT_EQ(due[0].recipients[0].last_reply, "452 4.2.2 The mailbox is full");
}

TEST_F(QueueTest, AWaitForADeadDestinationIsNoAttempt) {
  QueuedMessage message = make({0});
  accept(message);
  RecipientUpdate later;
  later.message = message.id;
  later.number = 1;
  later.next_attempt = clock_.unix_time();
  later.attempted = false;
  later.warned = true;
  update(later);
  auto due = queue_->take_due(clock_.unix_time(), false, 10);
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].recipients[0].attempts, 0);
  EXPECT_TRUE(due[0].recipients[0].warned);
}

TEST_F(QueueTest, LocalAndRemoteAreTakenApart) {
  QueuedMessage message = make({5, 0});
  accept(message);
  auto local = take_local();
  ASSERT_THAT(local, SizeIs(1));
  ASSERT_THAT(local[0].recipients, SizeIs(1));
  EXPECT_EQ(local[0].recipients[0].account, 5);
  auto remote = queue_->take_due(clock_.unix_time(), false, 10);
  ASSERT_THAT(remote, SizeIs(1));
  EXPECT_EQ(remote[0].recipients.at(0).account, 0);
}

TEST_F(QueueTest, ADestinationThatIsBackGetsItsMailAtOnce) {
  for (const char* address : {"a@example.net", "b@Example.NET", "c@example.com"}) {
    QueuedMessage message = make({0});
    message.recipients[0].address = address;
    message.recipients[0].next_attempt += 3'600;
    accept(message);
  }
  EXPECT_EQ(queue_->release("example.net", 100), 2);
  EXPECT_THAT(queue_->take_due(clock_.unix_time(), false, 10), SizeIs(2));
}

TEST_F(QueueTest, TakesWhatWasDueFirstFirstAndNoMoreThanAsked) {
  std::vector<QueueId> ids;
  for (int i = 0; i < 5; ++i) {
    QueuedMessage message = make({1});
    message.recipients[0].next_attempt -= i == 3 ? 100 : 0;
    ids.push_back(message.id);
    accept(message);
  }
  std::vector<QueueId> order;
  for (const QueuedMessage& message : queue_->take_due(clock_.unix_time(), true, 3)) order.push_back(message.id);
  EXPECT_THAT(order, ElementsAre(ids[3], ids[0], ids[1]));
  EXPECT_THAT(take_local(), SizeIs(2));
}

TEST_F(QueueTest, TakesNoMoreBodiesThanMemoryIsMeantFor) {
  for (int i = 0; i < 300; ++i) accept(make({1}, std::string(kChunkSize, 'x')));
  size_t first = queue_->take_due(clock_.unix_time(), true, 1'000).size();
  EXPECT_LE(first, 130U);
  EXPECT_GE(first, 100U);
}

TEST_F(QueueTest, ListsForTheAdministrator) {
  for (int i = 0; i < 3; ++i) accept(make({1, 0}));
  take_local();
  auto page = queue_->list(0, 2);
  ASSERT_THAT(page, SizeIs(2));
  ASSERT_THAT(page[0].recipients, SizeIs(2));
  EXPECT_EQ(page[0].recipients[0].next_attempt, kInHand);
  EXPECT_EQ(page[0].recipients[1].next_attempt, clock_.unix_time());
  EXPECT_THAT(queue_->list(page[1].id, 2), SizeIs(1));
}

TEST_F(QueueTest, SweepsOldFilesThatNoMessageNames) {
  accept(make({1}, std::string(2 * kChunkSize, 'x')));
  std::string lost = queue_->spool_directory() + "/lost";
  std::string fresh = queue_->spool_directory() + "/fresh";
  for (const std::string& path : {lost, fresh}) std::fclose(std::fopen(path.c_str(), "w"));
  auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours(2);
  for (const auto& entry : std::filesystem::directory_iterator(queue_->spool_directory())) {
    if (entry.path() != fresh) std::filesystem::last_write_time(entry.path(), old);
  }
  EXPECT_EQ(queue_->sweep_spool(), 1U);
  EXPECT_FALSE(std::filesystem::exists(lost));
  EXPECT_EQ(spool_files(), 2U);
}

TEST_F(QueueTest, AMissingSpoolFileIsToldByANullBody) {
  accept(make({1}, std::string(2 * kChunkSize, 'x')));
  for (const auto& entry : std::filesystem::directory_iterator(queue_->spool_directory()))
    std::filesystem::remove(entry);
  auto due = take_local();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].body, nullptr);
}

}  // namespace
}  // namespace postrider::store
