#include "store/queue_ledger.h"

#include "store/queue_schema.h"
#include "tests/store/queue_fixture.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class LedgerTest : public QueueTest {
 protected:
  RecipientUpdate said(QueueId message, int64_t number, std::string reply) {
    RecipientUpdate update;
    update.message = message;
    update.number = number;
    update.time = clock_.unix_time();
    update.next_attempt = clock_.unix_time();
    update.remote = "mx.example.net [192.0.2.7]";
    update.tls = "TLSv1.3 X";
    update.last_reply = std::move(reply);
    return update;
  }
};

TEST_F(LedgerTest, TellsWhereAMessageCameFrom) {
  QueuedMessage message = make({1, 0});
  message.client = "client.example [192.0.2.1]";
  message.authenticated_as = "bob@example.org";
  message.message_id = "<m1@example.net>";
  accept(message);
  auto told = queue_->trace(message.id);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reverse_path, "sender@example.net");
  EXPECT_EQ(told->client, "client.example [192.0.2.1]");
  EXPECT_EQ(told->authenticated_as, "bob@example.org");
  EXPECT_EQ(told->message_id, "<m1@example.net>");
  EXPECT_EQ(told->accepted, clock_.unix_time());
  EXPECT_EQ(told->size, message.body->size());
  EXPECT_EQ(told->recipient_count, 2);
  ASSERT_THAT(told->recipients, SizeIs(2));
  EXPECT_FALSE(told->recipients[0].ended);
  EXPECT_EQ(told->recipients[0].next_attempt, clock_.unix_time());
}

TEST_F(LedgerTest, TellsInWhichMailboxItLies) {
  QueuedMessage message = make({7});
  message.recipients[0].original = "team@example.org";
  accept(message);
  RecipientUpdate end = ended(message.id, 1);
  end.time = clock_.unix_time() + 1;
  end.mailbox = 3;
  end.uid = 42;
  update(end);
  EXPECT_EQ(queue_->counts().messages, 0);
  auto told = queue_->trace(message.id);
  ASSERT_TRUE(told);
  ASSERT_THAT(told->recipients, SizeIs(1));
  const TracedRecipient& recipient = told->recipients[0];
  EXPECT_TRUE(recipient.ended);
  EXPECT_EQ(recipient.ending, Ending::mailbox);
  EXPECT_EQ(recipient.time, clock_.unix_time() + 1);
  EXPECT_EQ(recipient.account, 7);
  EXPECT_EQ(recipient.mailbox, 3);
  EXPECT_EQ(recipient.uid, 42U);
  EXPECT_EQ(recipient.address, "to@example.org");
  EXPECT_EQ(recipient.original, "team@example.org");
  EXPECT_EQ(recipient.attempts, 1);
}

TEST_F(LedgerTest, TellsOfEveryAttempt) {
  QueuedMessage message = make({0});
  accept(message);
  update(said(message.id, 1, "451 4.7.1 Greylisted"));
  RecipientUpdate skipped = said(message.id, 1, "waits with others");
  skipped.attempted = false;
  update(skipped);
  clock_.advance(std::chrono::seconds(60));
  RecipientUpdate end = said(message.id, 1, "250 2.0.0 ok");
  end.ended = true;
  end.ending = Ending::relayed;
  end.report = 99;
  update(end);
  auto told = queue_->trace(message.id);
  ASSERT_TRUE(told);
  const TracedRecipient& recipient = told->recipients.at(0);
  ASSERT_THAT(recipient.tries, SizeIs(1)) << "a wait without an attempt is none";
  EXPECT_EQ(recipient.tries[0].reply, "451 4.7.1 Greylisted");
  EXPECT_EQ(recipient.tries[0].remote, "mx.example.net [192.0.2.7]");
  EXPECT_EQ(recipient.tries[0].tls, "TLSv1.3 X");
  EXPECT_EQ(recipient.tries[0].time, clock_.unix_time() - 60);
  EXPECT_EQ(recipient.ending, Ending::relayed);
  EXPECT_EQ(recipient.attempts, 2);
  EXPECT_EQ(recipient.reply, "250 2.0.0 ok");
  EXPECT_EQ(recipient.report, 99);
}

TEST_F(LedgerTest, KeepsTheLastAttemptsOfMany) {
  QueuedMessage message = make({0});
  accept(message);
  for (int i = 0; i < 2 * kMaxKeptAttempts + 3; ++i) {
    clock_.advance(std::chrono::seconds(1));
    update(said(message.id, 1, std::to_string(i)));
  }
  auto told = queue_->trace(message.id);
  ASSERT_TRUE(told);
  ASSERT_THAT(told->recipients.at(0).tries, SizeIs(kMaxKeptAttempts));
  EXPECT_EQ(told->recipients[0].tries.front().reply, std::to_string(kMaxKeptAttempts + 3));
  EXPECT_EQ(told->recipients[0].tries.back().reply, std::to_string(2 * kMaxKeptAttempts + 2));
}

TEST_F(LedgerTest, ARecipientEndsOnce) {
  QueuedMessage message = make({1});
  accept(message);
  update(ended(message.id, 1));
  RecipientUpdate again = ended(message.id, 1);
  again.ending = Ending::failed;
  update(again);
  EXPECT_EQ(queue_->trace(message.id)->recipients.at(0).ending, Ending::mailbox);
}

TEST_F(LedgerTest, FindsByMessageIdSenderAndRecipient) {
  QueuedMessage first = make({1}), second = make({0});
  first.message_id = "<m1@example.net>";
  second.reverse_path = "carol@example.net";
  second.recipients[0].address = "dave@example.com";
  accept(first);
  accept(second);
  update(ended(first.id, 1));
  EXPECT_THAT(queue_->find("<m1@example.net>", 10), ElementsAre(first.id));
  EXPECT_THAT(queue_->find("m1@example.net", 10), ElementsAre(first.id));
  EXPECT_THAT(queue_->find("Carol@Example.NET", 10), ElementsAre(second.id));
  EXPECT_THAT(queue_->find("dave@example.com", 10), ElementsAre(second.id)) << "one that waits";
  EXPECT_THAT(queue_->find("to@example.org", 10), ElementsAre(first.id)) << "one that has ended";
  EXPECT_THAT(queue_->find("nobody@example.org", 10), IsEmpty());
}

TEST_F(LedgerTest, FindsTheNewestFirst) {
  QueuedMessage first = make({1}), second = make({1});
  accept(first);
  accept(second);
  EXPECT_THAT(queue_->find("sender@example.net", 10), ElementsAre(second.id, first.id));
  EXPECT_THAT(queue_->find("sender@example.net", 1), ElementsAre(second.id));
}

TEST_F(LedgerTest, ForgetsByAgeWhatHasEnded) {
  QueuedMessage held = make({0}), old = make({1}), other = make({1});
  for (const QueuedMessage* message : {&held, &old, &other}) accept(*message);
  update(said(old.id, 1, "later"));
  for (const QueuedMessage* message : {&old, &other}) update(ended(message->id, 1));
  clock_.advance(std::chrono::hours(24));
  QueuedMessage fresh = make({1});
  accept(fresh);
  update(ended(fresh.id, 1));
  UnixTime before = clock_.unix_time() - 3'600;
  EXPECT_EQ(queue_->forget(before, 1), 1U);
  EXPECT_EQ(queue_->forget(before, 1), 1U);
  EXPECT_EQ(queue_->forget(before, 1), 0U);
  EXPECT_TRUE(queue_->trace(held.id)) << "it waits";
  EXPECT_TRUE(queue_->trace(fresh.id));
  EXPECT_FALSE(queue_->trace(old.id));
  EXPECT_FALSE(queue_->trace(other.id));
  update(ended(held.id, 1));
  EXPECT_EQ(queue_->forget(before, 1), 1U);
  EXPECT_FALSE(queue_->trace(held.id));
}

TEST_F(LedgerTest, WhatASendmailLeftIsTakenOnce) {
  EXPECT_FALSE(queue_->taken("1000.a"));
  QueuedMessage message = make({1});
  message.drop = "1000.a";
  accept(message);
  update(ended(message.id, 1));
  EXPECT_TRUE(queue_->taken("1000.a"));
  QueuedMessage again = make({1});
  again.drop = "1000.a";
  EXPECT_THROW(accept(again), SqliteError);
}

TEST_F(LedgerTest, AQueueOfTheFirstVersionIsTakenOver) {
  std::filesystem::remove_all(state_.path());
  std::filesystem::create_directories(state_.path());
  {
    Database old(state_.file("queue.db"), OpenMode::create, Sync::full);
    migrate(old, std::span(kQueueMigrations).first(1));
    old.execute(
        "INSERT INTO message VALUES(5, 1, 'a@example.net', '', 'c', '', '', 0, 1700000000, 4, '');"
        "INSERT INTO body VALUES(5, x'61626364');"
        "INSERT INTO recipient(message, number, account, destination, address, original, orcpt, notify, next_attempt)"
        " VALUES(5, 1, 0, 'example.com', 'b@example.com', 'b@example.com', '', 0, 1700000000)");
  }
  open();
  EXPECT_THAT(queue_->take_due(clock_.unix_time(), false, 10), SizeIs(1));
  EXPECT_EQ(queue_->trace(5)->reverse_path, "a@example.net");
  auto copy = std::filesystem::status(state_.file("queue.db.before-v" + std::to_string(kQueueMigrations.size())));
  ASSERT_TRUE(std::filesystem::exists(copy));
  EXPECT_EQ(copy.permissions() & std::filesystem::perms::others_all, std::filesystem::perms::none);
}

}  // namespace
}  // namespace postrider::store
