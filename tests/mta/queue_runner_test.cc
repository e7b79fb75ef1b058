#include "mta/queue_runner.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "common/mail/header.h"
#include "tests/mailauth/signatures.h"
#include "tests/mta/fake_remote.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

using QueueRunnerTest = Pipeline;

TEST_F(QueueRunnerTest, AnAcceptedMessageLiesInTheMailbox) {
  start();
  store::QueuedMessage sent = message({{bob_, "bob@example.org"}});
  sent.recipients[0].original = "Bob+x@Example.org";
  ASSERT_TRUE(accept(std::move(sent)));
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  EXPECT_THAT(inbox(bob_), ElementsAre("Return-Path: <alice@example.org>\r\nDelivered-To: Bob+x@Example.org\r\n"
                                       "Subject: x\r\n\r\nhello\r\n"));
}

TEST_F(QueueRunnerTest, WhoWatchesTheMailboxIsTold) {
  start();
  ASSERT_TRUE(accept(to_bob()));
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  auto lease = accounts_.open(bob_);
  EXPECT_EQ(last_hint_.account, bob_);
  EXPECT_EQ(last_hint_.mailbox, lease->find_mailbox("INBOX")->id);
  EXPECT_EQ(last_hint_.modseq, lease->modseq());
}

TEST_F(QueueRunnerTest, TheNullReversePathStaysNull) {
  start();
  store::QueuedMessage sent = to_bob();
  sent.reverse_path.clear();
  ASSERT_TRUE(accept(std::move(sent)));
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  EXPECT_THAT(inbox(bob_).at(0), StartsWith("Return-Path: <>\r\n"));
}

TEST_F(QueueRunnerTest, WhatWasFlushedLeavesTheQueue) {
  start();
  ASSERT_TRUE(accept(message({{alice_, "alice@example.org"}, {bob_, "bob@example.org"}})));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  runner_->stop();
  EXPECT_THAT(queued(), IsEmpty());
}

TEST_F(QueueRunnerTest, WhatIsAcceptedIsOnTheDiskBeforeTheAnswer) {
  start();
  store::QueuedMessage sent = message({{0, "carol@example.net"}});  // stays: there is no way to other servers here
  store::QueueId id = sent.id;
  ASSERT_TRUE(accept(std::move(sent)));
  auto waiting = queued();
  ASSERT_THAT(waiting, SizeIs(1));
  EXPECT_EQ(waiting[0].id, id);
}

TEST_F(QueueRunnerTest, LargeMessagesGoThroughTheSpool) {
  start();
  std::string text = "Subject: large\r\n\r\n";
  while (text.size() < 3 * store::kChunkSize) text += "0123456789 abcdefghij 0123456789\r\n";
  ASSERT_TRUE(accept(message({{alice_, "alice@example.org"}, {bob_, "bob@example.org"}}, text)));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  EXPECT_TRUE(inbox(alice_).at(0).ends_with(text));
  EXPECT_TRUE(inbox(bob_).at(0).ends_with(text));
  runner_->stop();
  EXPECT_TRUE(std::filesystem::is_empty(runner_->spool_directory()));
}

TEST_F(QueueRunnerTest, MessagesOfOneAccountKeepTheirOrder) {
  start();
  std::vector<store::QueuedMessage> messages;
  std::vector<std::string> subjects;
  for (int i = 0; i < 500; ++i) {
    subjects.push_back(fmt::format("Subject: {}\r\n\r\nx\r\n", i));
    messages.push_back(to_bob(subjects.back()));
  }
  accept_all(std::move(messages));
  runner_->stop();  // what is not in the mailbox yet comes after the next start
  make();
  start();
  ASSERT_TRUE(wait_for_inbox(bob_, 500));
  auto texts = inbox(bob_);
  ASSERT_THAT(texts, SizeIs(500));
  for (size_t i = 0; i < texts.size(); ++i) ASSERT_TRUE(texts[i].ends_with(subjects[i])) << i;
}

TEST_F(QueueRunnerTest, ThoseWhoWaitShareOneFlush) {
  start();
  ASSERT_TRUE(accept(to_bob()));
  uint64_t before = runner_->commits();
  std::vector<store::QueuedMessage> messages;
  for (int i = 0; i < 100; ++i) messages.push_back(to_bob());
  {
    // While another process holds the queue, everybody gathers.
    store::Database other(state_.file("queue.db"), store::OpenMode::must_exist, store::Sync::normal);
    auto lock = std::make_unique<store::Transaction>(other);
    std::thread release([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // not waiting for anything: only holding on
      lock.reset();
    });
    for (const Acceptance& answer : accept_all(std::move(messages))) EXPECT_TRUE(answer);
    release.join();
  }
  EXPECT_LE(runner_->commits() - before, 10U);
}

TEST_F(QueueRunnerTest, OneBadMessageDoesNotTakeItsGroupWithIt) {
  start();
  std::vector<store::QueuedMessage> messages;
  messages.push_back(to_bob());
  messages.push_back(to_bob());
  messages.push_back(to_bob());
  messages[1].id = messages[0].id;  // the row is there already
  auto answers = accept_all(std::move(messages));
  EXPECT_TRUE(answers[0]);
  EXPECT_FALSE(answers[1]);
  EXPECT_TRUE(answers[2]);
}

TEST_F(QueueRunnerTest, ADiskThatTakesNothingIsATemporaryFailure) {
  start();
  ASSERT_TRUE(accept(to_bob()));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  rlimit none{4'096, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &none);
  Acceptance refused = accept(to_bob(std::string(200'000, 'x')));
  ::setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().reason, NotAccepted::Reason::shutting_down);
  EXPECT_TRUE(accept(to_bob())) << "and afterwards all is well again";
}

TEST_F(QueueRunnerTest, AClosedQueueTakesNothing) {
  start();
  runner_->stop();
  Acceptance answer = accept(to_bob());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, NotAccepted::Reason::shutting_down);
}

TEST_F(QueueRunnerTest, ACrashAfterDeliveryDeliversOnce) {
  {
    // A process that delivers and dies before it could tell the queue.
    store::Queue queue(state_.path(), clock_);
    store::QueuedMessage sent = to_bob();
    sent.recipients[0].next_attempt = store::kInHand;
    const store::QueuedMessage* accepted[] = {&sent};
    queue.commit(accepted, {});
    MemoryBudget budget(1 << 20, [] {});  // outlives the deliverers, who give back to it
    LocalDelivery delivery(
        accounts_, directory_, runner_->settler(), clock_, [this](const net::Hint& hint) { hinted(hint); },
        [](const Settlement&) {});
    std::vector<Delivery> deliveries;
    deliveries.push_back({std::make_shared<MessageInHand>(std::move(sent), budget), 0});
    delivery.start(1);
    delivery.push(std::move(deliveries));
    ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  }
  ASSERT_THAT(queued(), SizeIs(1));
  start();
  while (!queued().empty()) std::this_thread::yield();  // delivered again, flushed and ended
  EXPECT_THAT(inbox(bob_), SizeIs(1));
}

TEST_F(QueueRunnerTest, ACrashBeforeDeliveryDeliversAfterTheStart) {
  {
    store::Queue queue(state_.path(), clock_);
    store::QueuedMessage sent = to_bob();
    sent.recipients[0].next_attempt = store::kInHand;
    const store::QueuedMessage* accepted[] = {&sent};
    queue.commit(accepted, {});
  }
  start();
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  EXPECT_THAT(inbox(bob_), SizeIs(1));
}

TEST_F(QueueRunnerTest, TwoAddressesOfOneAccountAreOneCopy) {
  start();
  ASSERT_TRUE(accept(message({{bob_, "bob@example.org"}, {bob_, "bob+x@example.org"}})));
  ASSERT_TRUE(wait_for_deliveries(bob_, 1));
  runner_->stop();
  EXPECT_THAT(inbox(bob_), SizeIs(1));
  EXPECT_THAT(queued(), IsEmpty());
}

using RemoteQueueTest = RemotePipeline;

TEST_F(RemoteQueueTest, RecipientsElsewhereAreHandedOver) {
  ASSERT_TRUE(accept(message({{bob_, "bob@example.org"}, {0, "carol@example.net"}})));
  auto got = remote_->take();
  ASSERT_NE(got, nullptr);
  ASSERT_THAT(got->message().recipients, SizeIs(1));
  EXPECT_EQ(got->message().recipients[0].address, "carol@example.net");
  EXPECT_TRUE(wait_for_deliveries(bob_, 1)) << "and the local ones do not wait for them";
}

TEST_F(RemoteQueueTest, ATemporaryFailureComesBackWhenItsTimeHasCome) {
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}})));
  settle(*remote_->take(), Outcome::temporary("4.3.2", "421 4.3.2 Later"));
  while (queued().at(0).recipients.at(0).next_attempt == store::kInHand) std::this_thread::yield();
  EXPECT_GE(queued()[0].recipients[0].next_attempt, clock_.unix_time() + 60);
  EXPECT_LE(queued()[0].recipients[0].next_attempt, clock_.unix_time() + 66);
  clock_.advance(std::chrono::seconds(66));
  runner_->wake();
  auto again = remote_->take();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->message().recipients[0].attempts, 1);
  EXPECT_EQ(again->message().recipients[0].last_reply, "421 4.3.2 Later");
}

TEST_F(RemoteQueueTest, APermanentFailureComesBackToTheSender) {
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}}, "Subject: Hi Carol\r\n\r\nhello\r\n")));
  Outcome outcome = Outcome::permanent("5.1.1", "550 5.1.1 Who is that");
  outcome.remote = "mx.example.net [192.0.2.7]";
  settle(*remote_->take(), outcome);
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  std::string report = inbox(alice_).at(0);
  EXPECT_THAT(report, StartsWith("Return-Path: <>\r\n"));
  EXPECT_THAT(report, HasSubstr("<carol@example.net>"));
  EXPECT_THAT(report, HasSubstr("550 5.1.1 Who is that"));
  EXPECT_THAT(report, HasSubstr("Subject: Hi Carol"));
  runner_->stop();
  EXPECT_THAT(queued(), IsEmpty());
}

TEST_F(RemoteQueueTest, AReportIsSignedByTheDomainAboveTheHost) {
  store::DkimKeys keys(state_.path());
  DnsTable dns;
  for (const auto& key : keys.create("example.org", 0, 0)) dns.txt(key.record_name(), key.record);
  Signer signer(state_.path(), clock_);
  options_.signer = &signer;
  runner_->configure(options_);
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}})));
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 no"));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  const std::string report = inbox(alice_).at(0);
  runner_->stop();
  const size_t head = header_block_size(report);
  EXPECT_THAT(report.substr(0, head), HasSubstr("From: Mail Delivery System <mailer-daemon@mx.example.org>"));
  const auto results = verify_signatures(dns, report, clock_.unix_time());
  ASSERT_EQ(results.size(), 2U);
  for (const auto& result : results) {
    EXPECT_EQ(result.verdict, dkim::Verdict::pass) << result.reason;
    EXPECT_EQ(result.domain, "example.org");
  }
}

TEST_F(RemoteQueueTest, TheLifetimeEndsInABounce) {
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}})));
  auto got = remote_->take();
  clock_.advance(std::chrono::seconds(3'600));
  settle(*got, Outcome::temporary("4.4.1", "no answer from mx.example.net"));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("until its time was over"));
}

TEST_F(RemoteQueueTest, ASenderElsewhereGetsItsReportByTheQueue) {
  store::QueuedMessage sent = message({{0, "carol@example.net"}});
  sent.reverse_path = "dave@example.com";
  ASSERT_TRUE(accept(std::move(sent)));
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 no"));
  auto report = remote_->take();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->message().reverse_path, "");
  EXPECT_EQ(report->message().kind, store::MailKind::report);
  EXPECT_EQ(report->message().recipients.at(0).address, "dave@example.com");
}

TEST_F(RemoteQueueTest, AReportThatCannotBeDeliveredGoesToThePostmaster) {
  store::QueuedMessage sent = message({{0, "carol@example.net"}});
  sent.reverse_path = "dave@example.com";
  ASSERT_TRUE(accept(std::move(sent)));
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 no"));
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 nor this"));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1)) << "the first account is the postmaster";
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Subject: A report could not be delivered"));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("550 nor this"));
  runner_->stop();
  EXPECT_THAT(queued(), IsEmpty());
}

TEST_F(RemoteQueueTest, ThePostmastersReportThatCannotBeDeliveredEnds) {
  change_directory(
      [](store::Directory& directory) { return directory.set_alias("postmaster@example.org", {"root@example.com"}); });
  store::QueuedMessage sent = message({{0, "carol@example.net"}});
  sent.reverse_path.clear();
  ASSERT_TRUE(accept(std::move(sent)));
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 no"));
  auto report = remote_->take();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->message().recipients.at(0).address, "root@example.com");
  EXPECT_EQ(report->message().kind, store::MailKind::double_bounce);
  settle(*report, Outcome::permanent("5.1.1", "550 no"));
  runner_->stop();
  EXPECT_THAT(queued(), IsEmpty());
}

TEST_F(RemoteQueueTest, NotifyNeverEndsInSilence) {
  store::QueuedMessage sent = message({{0, "carol@example.net"}});
  sent.recipients[0].notify = store::kNotifyNever;
  ASSERT_TRUE(accept(std::move(sent)));
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 no"));
  runner_->stop();
  EXPECT_THAT(queued(), IsEmpty());
  EXPECT_THAT(inbox(alice_), IsEmpty());
}

TEST_F(RemoteQueueTest, ADelayIsToldOnce) {
  options_.schedule.delay_warning = Seconds(600);
  runner_->configure(options_);
  ASSERT_TRUE(accept(message({{0, "carol@example.net"}})));
  auto got = remote_->take();
  clock_.advance(std::chrono::seconds(600));
  settle(*got, Outcome::temporary("4.4.1", "no answer"));
  ASSERT_TRUE(wait_for_deliveries(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Your message is delayed"));
  clock_.advance(std::chrono::seconds(66));
  runner_->wake();
  got = remote_->take();
  ASSERT_NE(got, nullptr);
  EXPECT_TRUE(got->message().recipients[0].warned);
  settle(*got, Outcome::temporary("4.4.1", "no answer"));
  runner_->stop();
  EXPECT_THAT(inbox(alice_), SizeIs(1));
}

}  // namespace
}  // namespace postrider
