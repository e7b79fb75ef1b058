#include "store/queue_admin.h"

#include "tests/store/queue_fixture.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class QueueAdminTest : public QueueTest {
 protected:
  /// Waits for an hour.
  QueueId waiting(const std::string& address, AccountId account = 0) {
    QueuedMessage message = make({account});
    message.recipients[0].address = address;
    message.recipients[0].next_attempt += 3'600;
    accept(message);
    return message.id;
  }
  std::vector<QueueId> ids(const QueueFilter& filter) {
    std::vector<QueueId> found;
    for (const QueueRow& row : queue_->rows(filter, 0, 100)) found.push_back(row.id);
    return found;
  }
  std::vector<QueueId> due(bool local = false) {
    std::vector<QueueId> found;
    for (const QueuedMessage& message : queue_->take_due(clock_.unix_time(), local, 10'000))
      found.push_back(message.id);
    return found;
  }
  static QueueFilter only(QueueId id) {
    QueueFilter filter;
    filter.id = id;
    return filter;
  }
  static QueueFilter to(const std::string& destination) {
    QueueFilter filter;
    filter.destination = destination;
    return filter;
  }
  QueuedRecipient recipient(QueueId id, size_t index = 0) { return queue_->list(id - 1, 1).at(0).recipients.at(index); }
};

TEST_F(QueueAdminTest, ListsWhatTheFilterMeans) {
  QueueId old = waiting("a@example.net");
  clock_.advance(std::chrono::minutes(30));
  QueueId other = waiting("b@example.com"), local = waiting("c@Example.org", 1);
  QueuedMessage report = make({0});
  report.reverse_path.clear();
  accept(report);
  EXPECT_THAT(ids({}), ElementsAre(old, other, local, report.id));
  EXPECT_THAT(ids(to("example.com")), ElementsAre(other));
  EXPECT_THAT(ids(to("example.org")), ElementsAre(local, report.id));
  EXPECT_THAT(ids(only(other)), ElementsAre(other));
  QueueFilter filter;
  filter.accepted_before = clock_.unix_time() - 60;
  EXPECT_THAT(ids(filter), ElementsAre(old));
  filter = {};
  filter.sender = "";
  EXPECT_THAT(ids(filter), ElementsAre(report.id));
  filter.sender = "Sender@example.net";
  EXPECT_THAT(ids(filter), ElementsAre(old, other, local));
  EXPECT_THAT(due(), ElementsAre(report.id));
  filter = {};
  filter.state = QueueState::in_hand;
  EXPECT_THAT(ids(filter), ElementsAre(report.id));
  queue_->change(only(other), QueueChange::hold);
  filter.state = QueueState::held;
  EXPECT_THAT(ids(filter), ElementsAre(other));
  filter.state = QueueState::waiting;
  EXPECT_THAT(ids(filter), ElementsAre(old, local));
}

TEST_F(QueueAdminTest, ARowTellsOfTheRecipientThatWasTriedMost) {
  QueuedMessage message = make({0, 0});
  message.recipients[0].address = "a@example.net";
  message.recipients[1].address = "b@example.net";
  accept(message);
  RecipientUpdate later;
  later.message = message.id;
  later.number = 2;
  later.next_attempt = clock_.unix_time() + 60;
  later.last_reply = "451 4.7.1 Later";
  update(later);
  QueueRow row = queue_->rows({}, 0, 10).at(0);
  EXPECT_EQ(row.recipients, 2);
  EXPECT_EQ(row.reverse_path, "sender@example.net");
  EXPECT_EQ(row.address, "b@example.net");
  EXPECT_EQ(row.attempts, 1);
  EXPECT_EQ(row.last_reply, "451 4.7.1 Later");
  EXPECT_EQ(row.next_attempt, clock_.unix_time());
  EXPECT_THAT(queue_->rows({}, row.id, 10), IsEmpty());
}

TEST_F(QueueAdminTest, RetryMakesDueNow) {
  QueueId first = waiting("a@example.net"), second = waiting("b@example.net");
  EXPECT_EQ(queue_->change(only(second), QueueChange::retry).now, 1);
  auto taken = queue_->take_due(clock_.unix_time(), false, 10);
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].id, second);
  EXPECT_EQ(taken[0].recipients[0].wish, Wish::attempt) << "whatever is thought of its destination";
  EXPECT_EQ(queue_->change({}, QueueChange::retry).now, 1) << "what is in hand is being tried";
  EXPECT_THAT(due(), ElementsAre(first));
}

TEST_F(QueueAdminTest, AFlushTriesOneOfADestinationWhateverIsThoughtOfIt) {
  QueueId first = waiting("a@example.net");
  waiting("b@example.net");
  waiting("c@example.com");
  EXPECT_EQ(queue_->change(to("example.net"), QueueChange::retry).now, 2);
  auto taken = queue_->take_due(clock_.unix_time(), false, 10);
  ASSERT_THAT(taken, SizeIs(2));
  EXPECT_EQ(taken[0].id, first);
  EXPECT_EQ(taken[0].recipients[0].wish, Wish::attempt);
  EXPECT_EQ(taken[1].recipients[0].wish, Wish::none);
}

TEST_F(QueueAdminTest, WhatIsHeldIsNotTriedUntilItIsReleased) {
  QueueId id = waiting("a@example.net");
  EXPECT_EQ(queue_->change(only(id), QueueChange::hold).now, 1);
  EXPECT_EQ(queue_->change(only(id), QueueChange::hold).now, 0);
  EXPECT_EQ(queue_->change(only(id), QueueChange::retry).now, 0);
  EXPECT_EQ(queue_->change(to("example.net"), QueueChange::retry).now, 0);
  EXPECT_EQ(queue_->release("example.net", 10), 0);
  clock_.advance(std::chrono::hours(2));
  EXPECT_EQ(queue_->next_due(false), std::nullopt);
  EXPECT_THAT(due(), IsEmpty());
  EXPECT_EQ(queue_->change(only(id), QueueChange::release).now, 1);
  EXPECT_THAT(due(), ElementsAre(id));
}

TEST_F(QueueAdminTest, WhatIsInHandIsHeldWhenItComesBack) {
  QueueId id = waiting("a@example.net");
  clock_.advance(std::chrono::hours(1));
  due();
  store::Changed changed = queue_->change(only(id), QueueChange::hold);
  EXPECT_EQ(changed.now, 0);
  EXPECT_EQ(changed.later, 1);
  RecipientUpdate later;
  later.message = id;
  later.number = 1;
  later.next_attempt = clock_.unix_time();
  update(later);
  EXPECT_THAT(due(), IsEmpty());
  EXPECT_EQ(recipient(id).hold, Hold::administrator);
}

TEST_F(QueueAdminTest, ReleaseForgivesCrashes) {
  QueueId id = waiting("a@example.net");
  clock_.advance(std::chrono::hours(1));
  const InAttempt at[] = {{id, 0}};
  for (int i = 0; i < kCrashesToHold; ++i) {
    EXPECT_THAT(due(), ElementsAre(id));
    queue_->recover(at);
  }
  EXPECT_THAT(due(), IsEmpty());
  EXPECT_EQ(queue_->summary().set_aside, 1);
  queue_->change(only(id), QueueChange::release);
  EXPECT_EQ(recipient(id).crashes, 0);
  EXPECT_THAT(due(), ElementsAre(id));
}

TEST_F(QueueAdminTest, RemoveEndsWhatWaitsAndIsInTheLedger) {
  QueuedMessage message = make({0, 0}, std::string(2 * kChunkSize, 'x'));
  message.recipients[0].address = "a@example.net";
  message.recipients[1].address = "b@example.com";
  accept(message);
  EXPECT_EQ(queue_->change(to("example.net"), QueueChange::remove).now, 1);
  EXPECT_EQ(queue_->counts().recipients, 1);
  EXPECT_EQ(queue_->change(only(message.id), QueueChange::remove).now, 1);
  EXPECT_EQ(queue_->counts().messages, 0);
  message.body = nullptr;
  EXPECT_EQ(spool_files(), 0U);
  EXPECT_EQ(queue_->trace(message.id)->recipients.at(1).ending, Ending::removed);
}

TEST_F(QueueAdminTest, WhatIsInHandAndToBeRemovedComesUpAtOnce) {
  QueueId id = waiting("a@example.net");
  clock_.advance(std::chrono::hours(1));
  due();
  EXPECT_EQ(queue_->change(only(id), QueueChange::remove).later, 1);
  RecipientUpdate later;
  later.message = id;
  later.number = 1;
  later.next_attempt = clock_.unix_time() + 600;
  update(later);
  auto taken = queue_->take_due(clock_.unix_time(), false, 10);
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].recipients[0].wish, Wish::remove);
}

TEST_F(QueueAdminTest, WhatIsToBounceIsDueAndKeepsItsReason) {
  QueueId id = waiting("a@example.net");
  queue_->change(only(id), QueueChange::hold);
  EXPECT_EQ(queue_->change(only(id), QueueChange::bounce, "550 5.7.0 Enough").now, 1);
  auto taken = queue_->take_due(clock_.unix_time(), false, 10);
  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].recipients[0].wish, Wish::bounce);
  EXPECT_EQ(taken[0].recipients[0].last_reply, "550 5.7.0 Enough");
  RecipientUpdate failed;
  failed.message = id;
  failed.number = 1;
  failed.wished = true;
  failed.last_reply = "something else";
  failed.next_attempt = clock_.unix_time() + 60;
  update(failed);
  EXPECT_EQ(recipient(id).next_attempt, clock_.unix_time() + 60)
      << "a report that could not be made is not tried in circles";
  EXPECT_EQ(recipient(id).last_reply, "550 5.7.0 Enough");
}

TEST_F(QueueAdminTest, CountsByDestination) {
  waiting("a@example.net");
  QueueId due_one = waiting("b@example.net");
  waiting("c@example.com");
  QueueId held = waiting("d@example.com");
  waiting("alice@example.org", 1);
  queue_->change(only(held), QueueChange::hold);
  queue_->change(only(due_one), QueueChange::retry);
  auto rows = queue_->destinations(10);
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].destination, "");
  EXPECT_EQ(rows[0].waiting, 1);
  EXPECT_EQ(rows[1].destination, "example.net");
  EXPECT_EQ(rows[1].waiting, 2);
  EXPECT_EQ(rows[1].due, 1);
  EXPECT_EQ(rows[1].next_attempt, clock_.unix_time());
  EXPECT_EQ(rows[1].oldest, clock_.unix_time());
  EXPECT_EQ(rows[2].destination, "example.com");
  EXPECT_EQ(rows[2].waiting, 1);
  EXPECT_EQ(queue_->summary().held, 1);
  EXPECT_EQ(queue_->summary().recipients, 5);
  EXPECT_EQ(queue_->summary().here, 1);
  EXPECT_EQ(queue_->summary().elsewhere, 3);
  EXPECT_EQ(queue_->summary().in_hand, 0);
}

/// 100,000 recipients here; a million with POSTRIDER_LOAD=full.
TEST_F(QueueAdminTest, AGreatQueueIsListedCountedAndFlushedInBoundedSteps) {
  const char* load = std::getenv("POSTRIDER_LOAD");
  const int count = load != nullptr && std::string_view(load) == "full" ? 1'000'000 : 100'000;
  constexpr int kOfOne = 100;
  for (int i = 0; i < count / kOfOne;) {
    std::vector<QueuedMessage> messages;
    std::vector<const QueuedMessage*> accepted;
    for (int k = 0; k < 50 && i < count / kOfOne; ++k, ++i) {
      QueuedMessage& message = messages.emplace_back(make(std::vector<AccountId>(kOfOne, 0)));
      for (int n = 0; n < kOfOne; ++n) {
        message.recipients[n].address = "user" + std::to_string(n) + "@example" + std::to_string(i % 1'000) + ".net";
        message.recipients[n].next_attempt += 3'600;
      }
    }
    for (const QueuedMessage& message : messages) accepted.push_back(&message);
    queue_->commit(accepted, {});
  }
  EXPECT_EQ(queue_->counts().recipients, count);
  auto rows = queue_->destinations(5'000);
  ASSERT_THAT(rows, SizeIs(std::min(1'000, count / kOfOne)));
  EXPECT_EQ(rows[0].waiting, count / static_cast<int>(rows.size()));
  EXPECT_THAT(queue_->rows(to("example999.net"), 0, 1), SizeIs(count >= 1'000 * kOfOne ? 1 : 0));
  EXPECT_EQ(queue_->change(to("example7.net"), QueueChange::retry).now, rows[0].waiting);
  EXPECT_FALSE(queue_->take_due(clock_.unix_time(), false, 500).empty());
  Changed held = queue_->change({}, QueueChange::hold);
  EXPECT_EQ(held.now + held.later, count);
  EXPECT_EQ(queue_->summary().held, count);
}

}  // namespace
}  // namespace postrider::store
