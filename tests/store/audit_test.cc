// The audit: what adds up, and each way in which something can be missing.
#include "store/audit.h"

#include <fmt/format.h>

#include <atomic>
#include <future>

#include "store/accounts.h"
#include "store/maintenance.h"
#include "tests/store/queue_fixture.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kText = "Subject: x\r\n\r\nhello\r\n";

class AuditTest : public QueueTest {
 protected:
  AuditTest() {
    Directory directory(state_.path(), clock_);
    EXPECT_TRUE(directory.add_domain("example.test"));
    alice_ = directory.add_account("alice@example.test", {})->id;
    bob_ = directory.add_account("bob@example.test", {})->id;
    EXPECT_TRUE(accounts_.open(alice_)->find_mailbox("INBOX"));
    EXPECT_TRUE(accounts_.open(bob_)->find_mailbox("INBOX"));
  }

  struct Delivered {
    QueueId message = 0;
    MailboxId mailbox = 0;
    Uid uid = 0;
  };
  /// A message that went the whole way into an INBOX.
  Delivered deliver(AccountId account, bool tell_where = true) {
    QueuedMessage message = make({account}, std::string(kText));
    accept(message);
    Delivered delivered{message.id};
    {
      auto lease = accounts_.open(account);
      delivered.mailbox = lease->find_mailbox("INBOX")->id;
      Edit edit(*lease);
      delivered.uid = edit.append(delivered.mailbox, state_.message(kText), "X: y\r\n", {}, 1, message.id, 0).value();
      edit.commit_flushed();
    }
    RecipientUpdate end = ended(message.id, 1);
    end.time = clock_.unix_time();
    end.mailbox = delivered.mailbox;
    end.uid = tell_where ? delivered.uid : 0;
    update(end);
    return delivered;
  }
  void end(QueueId message, int64_t number, Ending how, std::string reply, QueueId report = 0) {
    RecipientUpdate end = ended(message, number);
    end.ending = how;
    end.last_reply = std::move(reply);
    end.report = report;
    update(end);
  }

  void beneath(const std::string& file, const std::string& sql) {
    Database(state_.file(file), OpenMode::must_exist, Sync::normal).execute(sql);
  }
  void in_alice(const std::string& sql) { beneath(fmt::format("accounts/{:02x}/{}.db", alice_, alice_), sql); }

  /// Of everything that was accepted until now.
  std::vector<std::string> found(Audit::Options options = {std::chrono::hours(24 * 14)}) {
    clock_.advance(std::chrono::seconds(1));
    findings_.clear();
    std::vector<std::string> kinds;
    Audit audit(state_.path(), clock_, options, [&](const AuditFinding& finding) {
      findings_.push_back(finding);
      kinds.emplace_back(finding.kind);
    });
    while (audit.step()) {
    }
    counts_ = audit.counts();
    EXPECT_EQ(counts_.findings, static_cast<int64_t>(kinds.size()));
    return kinds;
  }
  void expect_names(QueueId message) {
    ASSERT_FALSE(findings_.empty());
    EXPECT_EQ(findings_[0].message, message);
    EXPECT_EQ(findings_[0].accepted, clock_.unix_time() - 1);
    EXPECT_EQ(findings_[0].sender, "sender@example.net");
    EXPECT_NE(findings_[0].missing, "");
    EXPECT_NE(findings_[0].advice, "");
  }

  Accounts accounts_{state_.path(), 4, clock_};
  AccountId alice_ = 0, bob_ = 0;
  std::vector<AuditFinding> findings_;
  AuditCounts counts_;
};

TEST_F(AuditTest, EveryWayInWhichARecipientEndsAddsUp) {
  deliver(alice_);
  deliver(bob_, false);
  QueuedMessage relayed = make({0, 0, 0}), waiting = make({0, 1});
  QueuedMessage large = make({0}, simple_message("large", kChunkSize + 1));
  QueuedMessage report = make({alice_});
  for (const QueuedMessage* message : {&relayed, &waiting, &large, &report}) accept(*message);
  end(relayed.id, 1, Ending::relayed, "250 taken");
  end(relayed.id, 2, Ending::failed, "550 no", report.id);
  end(relayed.id, 3, Ending::removed, "");
  EXPECT_THAT(found({std::chrono::hours(1), true}), IsEmpty());
  EXPECT_EQ(counts_.messages, 6);
  EXPECT_EQ(counts_.recipients, 9);
  EXPECT_EQ(counts_.in_mailboxes, 2);
  EXPECT_EQ(counts_.relayed, 1);
  EXPECT_EQ(counts_.returned, 1);
  EXPECT_EQ(counts_.removed, 1);
  EXPECT_EQ(counts_.waiting, 4);
  EXPECT_EQ(counts_.moved_on, 0);
  EXPECT_EQ(counts_.accounts, 2);
  EXPECT_EQ(counts_.entries, 2);
  EXPECT_EQ(counts_.files, 4);
}

TEST_F(AuditTest, WhatItsOwnerTookAwayAddsUp) {
  const Delivered removed = deliver(alice_), moved = deliver(alice_), purged = deliver(alice_), kept = deliver(alice_);
  {
    auto account = accounts_.open(alice_);
    Edit edit(*account);
    edit.remove(removed.mailbox, {{purged.uid, purged.uid}});
    edit.commit_flushed();
    clock_.advance(std::chrono::hours(24));
    account->maintain({clock_.unix_time(), 0});
    Edit later(*account);
    later.remove(removed.mailbox, {{removed.uid, removed.uid}});
    ASSERT_TRUE(later.move(moved.mailbox, {{moved.uid, moved.uid}}, account->find_mailbox("Archive")->id));
    later.commit_flushed();
  }
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_EQ(counts_.in_mailboxes, 4);
  EXPECT_EQ(counts_.moved_on, 3);
  EXPECT_EQ(counts_.entries, 2);
  (void)kept;
}

TEST_F(AuditTest, AMailboxOrAnAccountThatWasDeletedAddsUp) {
  const Delivered gone = deliver(alice_);
  deliver(bob_);
  {
    auto account = accounts_.open(alice_);
    Edit edit(*account);
    ASSERT_TRUE(edit.rename_mailbox("INBOX", "Old"));
    ASSERT_TRUE(edit.delete_mailbox("Old"));
    edit.commit_flushed();
  }
  ASSERT_TRUE(Directory(state_.path(), clock_).remove_account("bob@example.test"));
  EXPECT_THAT(found(), IsEmpty());
  std::filesystem::remove_all(accounts_.path_of(bob_));
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_EQ(counts_.moved_on, 2);
  (void)gone;
}

TEST_F(AuditTest, WhatCameAfterItsBeginningIsNotJudged) {
  deliver(alice_);
  Audit audit(state_.path(), clock_, {}, [](const AuditFinding&) {});
  QueuedMessage later = make({0});
  accept(later);
  while (audit.step()) {
  }
  EXPECT_EQ(audit.counts().messages, 1);
}

TEST_F(AuditTest, JudgesWhatCameWhileTheClockWasAhead) {
  clock_.advance(std::chrono::hours(2));
  deliver(alice_);
  clock_.advance(-std::chrono::hours(2));
  deliver(alice_);
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_EQ(counts_.messages, 2);
}

TEST_F(AuditTest, GoesThroughMoreThanOneStep) {
  QueuedMessage many = make(std::vector<AccountId>(kMaxAuditEndings + 3, alice_));
  accept(many);
  {
    auto account = accounts_.open(alice_);
    Edit edit(*account);
    const PreparedMessage prepared = state_.message(kText);
    const MailboxId inbox = account->find_mailbox("INBOX")->id;
    ASSERT_TRUE(edit.append(inbox, prepared, "", {}, 1, many.id, 0));
    for (size_t i = 1; i < many.recipients.size(); ++i) ASSERT_TRUE(edit.append(inbox, prepared, "", {}, 1, 0, 0));
    edit.commit_flushed();
  }
  std::vector<RecipientUpdate> updates;
  for (const QueuedRecipient& recipient : many.recipients) {
    RecipientUpdate& end = updates.emplace_back(ended(many.id, recipient.number));
    end.mailbox = 1;
    end.uid = static_cast<Uid>(recipient.number);
    end.time = clock_.unix_time();
  }
  queue_->update(updates);
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_EQ(counts_.in_mailboxes, static_cast<int64_t>(kMaxAuditEndings) + 3);
  EXPECT_EQ(counts_.entries, static_cast<int64_t>(kMaxAuditEndings) + 3);
  in_alice(fmt::format("DELETE FROM entry WHERE uid = {}", kMaxAuditEndings + 2));
  EXPECT_THAT(found(), ElementsAre("message_lost", "mailbox_differs"));
}

// --- losses, made by hand

TEST_F(AuditTest, NamesAMessageThatIsInNoMailbox) {
  deliver(alice_);
  const Delivered lost = deliver(alice_);
  in_alice(fmt::format("DELETE FROM entry WHERE uid = {}", lost.uid));
  EXPECT_THAT(found(), ElementsAre("message_lost", "mailbox_differs"));
  expect_names(lost.message);
  EXPECT_EQ(findings_[0].recipient, "to@example.org");
  EXPECT_EQ(findings_[0].place, fmt::format("INBOX of alice@example.test, UID {}", lost.uid));
  EXPECT_THAT(findings_[1].missing, HasSubstr("It says 2 messages, and holds 1"));
  EXPECT_THAT(findings_[1].missing, HasSubstr(fmt::format("never went: {}.", lost.uid)));
}

TEST_F(AuditTest, NamesTheMailboxWhereTheLedgerDoesNotKnowTheUid) {
  const Delivered lost = deliver(alice_, false);
  in_alice(fmt::format("DELETE FROM entry WHERE uid = {}; UPDATE mailbox SET messages = 0, size = 0", lost.uid));
  EXPECT_THAT(found(), ElementsAre("mailbox_differs"));
  EXPECT_EQ(findings_[0].place, "INBOX of alice@example.test");
}

TEST_F(AuditTest, NamesATombstoneThatNobodyMade) {
  const Delivered lost = deliver(alice_);
  in_alice(fmt::format("DELETE FROM entry WHERE uid = {}; DELETE FROM change", lost.uid));
  EXPECT_THAT(found(), ElementsAre("message_lost", "mailbox_differs")) << "a log without floor is whole";
}

TEST_F(AuditTest, DoesNotJudgeWhatTheLogHasForgotten) {
  const Delivered old = deliver(alice_);
  in_alice(
      fmt::format("DELETE FROM entry WHERE uid = {}; DELETE FROM change; UPDATE state SET log_floor = modseq;"
                  " UPDATE mailbox SET messages = 0, size = 0",
                  old.uid));
  EXPECT_THAT(found(), IsEmpty());
  EXPECT_EQ(counts_.unjudged, 1);
}

TEST_F(AuditTest, NamesAMessageWithoutItsText) {
  const Delivered lost = deliver(alice_);
  in_alice("DELETE FROM chunk");
  EXPECT_THAT(found(), ElementsAre("message_lost", "text_lost"));
  expect_names(lost.message);
  EXPECT_EQ(findings_[1].place, fmt::format("INBOX of alice@example.test, UID {}", lost.uid));
  in_alice("DELETE FROM head");
  EXPECT_THAT(found(), ElementsAre("message_lost", "text_lost"));
  in_alice("DELETE FROM message");
  EXPECT_THAT(found(), ElementsAre("message_lost", "text_lost"));
}

TEST_F(AuditTest, NamesATextThatIsNotAsItWasWritten) {
  const Delivered changed = deliver(alice_);
  deliver(alice_);
  const std::string place = fmt::format("INBOX of alice@example.test, UID {}", changed.uid);
  in_alice("UPDATE chunk SET data = CAST('x' || substr(data, 2) AS BLOB) WHERE id = (SELECT min(id) FROM chunk)");
  EXPECT_THAT(found(), IsEmpty()) << "who does not read them sees nothing";
  const Audit::Options all{std::chrono::hours(24 * 14), false, AuditTexts::all};
  EXPECT_THAT(found(all), ElementsAre("text_lost"));
  EXPECT_EQ(findings_[0].place, place);
  in_alice(
      "UPDATE chunk SET checksum = NULL; UPDATE head SET prefix = CAST(prefix || 'x' AS BLOB),"
      " data = substr(data, 1, length(data) - 1) WHERE id = (SELECT min(id) FROM head)");
  EXPECT_THAT(found(all), ElementsAre("text_lost"));
  EXPECT_EQ(findings_[0].place, place);
}

TEST_F(AuditTest, ReadsTheTextsOfAnAccountWhenItsDayHasCome) {
  deliver(alice_);
  in_alice("UPDATE head SET checksum = 1");
  int days = 0;
  for (int64_t day = 0; day < kAuditTextsDays; ++day) {
    clock_.advance(std::chrono::hours(24));
    if (!found({std::chrono::hours(24 * 14), false, AuditTexts::some}).empty()) ++days;
  }
  EXPECT_EQ(days, 1);
}

TEST_F(AuditTest, NamesADeliveryThatTheAccountDoesNotKnow) {
  const Delivered lost = deliver(alice_);
  in_alice("DELETE FROM delivery");
  EXPECT_THAT(found(), ElementsAre("message_lost"));
  expect_names(lost.message);
  EXPECT_THAT(findings_[0].missing, HasSubstr("does not know"));
  clock_.advance(std::chrono::seconds(kLogKept));
  EXPECT_THAT(found(), IsEmpty()) << "deliveries are forgotten after that time";
  EXPECT_EQ(counts_.unjudged, 1);
}

TEST_F(AuditTest, NamesEveryMessageOfAnAccountThatIsGoneOrDamaged) {
  const Delivered first = deliver(alice_);
  deliver(alice_);
  deliver(bob_);
  const std::string path = accounts_.path_of(alice_);
  accounts_.forget(alice_);
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  EXPECT_THAT(found(), ElementsAre("message_lost", "message_lost", "account_set_aside"));
  expect_names(first.message);
  EXPECT_EQ(findings_[0].place, path);
  std::FILE* file = std::fopen(path.c_str(), "w");
  std::fputs("this is no database, and long enough to be seen as none at the first look at it, I should think", file);
  std::fclose(file);
  EXPECT_THAT(found({std::chrono::hours(1), true}),
              ElementsAre("account_damaged", "message_lost", "message_lost", "account_damaged", "file_damaged"));
}

TEST_F(AuditTest, NamesWhatTheLedgerDoesNotKnow) {
  QueuedMessage message = make({0});
  accept(message);
  beneath("queue.db", "DELETE FROM ledger");
  EXPECT_THAT(found(), ElementsAre("not_in_ledger"));
  EXPECT_EQ(findings_[0].message, message.id);
}

TEST_F(AuditTest, NamesRecipientsThatNeitherEndedNorWait) {
  QueuedMessage message = make({0, 0});
  accept(message);
  end(message.id, 1, Ending::relayed, "250 taken");
  beneath("queue.db", "DELETE FROM ending");
  EXPECT_THAT(found(), ElementsAre("recipients_lost"));
  expect_names(message.id);
  beneath("queue.db", "DELETE FROM recipient");
  EXPECT_THAT(found(), ElementsAre("recipients_lost", "waiting_lost"));
}

TEST_F(AuditTest, NamesWhatWaitsWithoutItsMessage) {
  QueuedMessage row = make({0}), text = make({0}), file = make({0}, simple_message("large", kChunkSize + 1));
  for (const QueuedMessage* message : {&row, &text, &file}) accept(*message);
  beneath("queue.db", fmt::format("DELETE FROM message WHERE id = {}", row.id));
  EXPECT_THAT(found(), ElementsAre("waiting_lost"));
  beneath("queue.db", fmt::format("DELETE FROM body WHERE message = {}", text.id));
  EXPECT_THAT(found(), ElementsAre("waiting_lost", "body_lost"));
  for (const auto& entry : std::filesystem::directory_iterator(queue_->spool_directory()))
    std::filesystem::resize_file(entry.path(), 1'000);
  EXPECT_THAT(found(), ElementsAre("waiting_lost", "body_lost", "body_lost"));
  EXPECT_EQ(findings_[2].message, file.id);
}

TEST_F(AuditTest, NamesEndingsWithoutProof) {
  QueuedMessage message = make({0, 0}), report = make({0});
  accept(message);
  end(message.id, 1, Ending::relayed, "");
  end(message.id, 2, Ending::failed, "550 no", report.id);
  EXPECT_THAT(found(), ElementsAre("handover_unproven", "report_lost"));
  expect_names(message.id);
  EXPECT_THAT(findings_[1].missing, HasSubstr(queue_id_text(report.id)));
}

TEST_F(AuditTest, NamesAMessageThatNeverCameBySmtp) {
  {
    auto account = accounts_.open(alice_);
    Edit edit(*account);
    for (int i = 0; i < 2; ++i)
      ASSERT_TRUE(edit.append(account->find_mailbox("Sent")->id, state_.message(kText), "", {}, 1, 0, 0));
    edit.commit_flushed();
  }
  in_alice("DELETE FROM entry WHERE uid = 1");
  EXPECT_THAT(found(), ElementsAre("mailbox_differs"));
  EXPECT_EQ(findings_[0].place, "Sent of alice@example.test");
}

TEST_F(AuditTest, MaintenanceAuditsFromTimeToTime) {
  class SharedClock final : public Clock {
   public:
    explicit SharedClock(UnixTime start) : time_(start) {}
    std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::from_time_t(time_); }
    std::atomic<UnixTime> time_;
  };
  const Delivered lost = deliver(alice_);
  in_alice(fmt::format("DELETE FROM entry WHERE uid = {}", lost.uid));
  SharedClock clock(clock_.unix_time());
  std::promise<AuditCounts> done;
  Maintenance::Options options;
  options.audit_interval = std::chrono::hours(24);
  options.state = state_.path();
  options.audited = [&](const AuditCounts& counts) { done.set_value(counts); };
  auto counts = done.get_future();
  const Maintenance maintenance(accounts_, clock, options);
  // The thread reads the clock when it begins: the time comes after that, whenever that is.
  for (int i = 0; i < 150 && counts.wait_for(std::chrono::milliseconds(200)) != std::future_status::ready; ++i)
    clock.time_ += 100;
  ASSERT_EQ(counts.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_EQ(counts.get().findings, 2);
}

}  // namespace
}  // namespace postrider::store
