// mailctl backup, restore --from, recover, downgrade.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "mailctl_fixture.h"
#include "store/account_file.h"
#include "store/account_schema.h"
#include "store/accounts.h"
#include "store/directory_schema.h"

namespace postrider::mailctl {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kAlice = "alice@example.test";

class BackupCommandTest : public MailctlTest {
 protected:
  BackupCommandTest() : target_(state_ + "-backups") {
    add_alice();
    append("INBOX", "Invoice 1", "<1@example.net>");
    append("INBOX", "Plans", "<2@example.net>");
    append("Archive", "Invoice 2", "<3@example.net>");
  }
  ~BackupCommandTest() override { fs::remove_all(target_); }

  void append(const char* mailbox, std::string_view subject, std::string_view id) {
    auto account = accounts_.open(1);
    store::Spool spool(state_);
    spool.append(fmt::format("From: bob@example.test\r\nSubject: {}\r\nMessage-ID: {}\r\n\r\nHello\r\n", subject, id));
    store::Edit edit(*account);
    EXPECT_TRUE(edit.append(account->find_mailbox(mailbox)->id,
                            store::prepare_message(std::make_shared<store::Spool>(std::move(spool))), "", {}, 1, 0, 0));
    edit.commit_flushed();
  }
  uint32_t messages(const std::string& mailbox) {
    auto found = accounts_.open(1)->find_mailbox(mailbox);
    return found ? found->messages : 0;
  }
  std::string path() { return accounts_.path_of(1); }
  void damage() {
    accounts_.open(1)->checkpoint();
    accounts_.forget(1);
    for (const char* part : {"-wal", "-shm"}) fs::remove(path() + part);
    fs::resize_file(path(), 0);
  }

  SystemClock clock_;
  store::Accounts accounts_{state_, 4, clock_};
  const std::string target_;
};

TEST_F(BackupCommandTest, MakesListsAndVerifies) {
  const auto made = json({"backup", target_});
  EXPECT_EQ(made["problems"].size(), 0U);
  EXPECT_TRUE(fs::exists(made["backup"].get<std::string>() + "/manifest"));
  const auto list = json({"backup", "--list", target_});
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["readable"], true);
  EXPECT_THAT(done({"backup", "--verify", target_}), HasSubstr("of 1 backup were read"));
  { std::ofstream(made["backup"].get<std::string>() + "/directory.db", std::ios::app) << "x"; }
  const Outcome outcome = call({"backup", "--verify", target_});
  EXPECT_EQ(outcome.status, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr("directory.db"));
}

TEST_F(BackupCommandTest, FoldersAndMessagesComeBackBesideWhatIsThere) {
  done({"backup", target_});
  EXPECT_EQ(json({"restore", "--from", target_, "--list", kAlice}).size(), 2U);
  EXPECT_EQ(messages("Restored/INBOX"), 0U);
  EXPECT_EQ(json({"restore", "--from", target_, kAlice})["restored"], 3);
  EXPECT_EQ(messages("Restored/INBOX"), 2U);
  EXPECT_EQ(messages("Restored/Archive"), 1U);
  EXPECT_EQ(json({"restore", "--from", target_, "--folder", "Archive", "--to", "Archive", kAlice})["restored"], 1);
  EXPECT_EQ(messages("Archive"), 2U);
  EXPECT_EQ(json({"restore", "--from", target_, "--message-id", "2@example.net", "--to", "Drafts", kAlice})["restored"],
            1);
  EXPECT_EQ(json({"restore", "--from", target_, "--subject", "invoice", "--to", "Drafts", kAlice})["restored"], 2);
  EXPECT_EQ(
      json({"restore", "--from", target_, "--folder", "INBOX", "--uid", "2", "--to", "Drafts", kAlice})["restored"], 1);
  EXPECT_EQ(messages("Drafts"), 4U);
  for (const auto& entry : fs::directory_iterator(state_))
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("scratch")));
}

TEST_F(BackupCommandTest, SaysWhatItDoesNotHave) {
  EXPECT_THAT(refused({"restore", "--from", target_, kAlice}), HasSubstr("no backup"));
  done({"backup", target_});
  EXPECT_THAT(refused({"restore", "--from", target_, "--before", "1h", kAlice}),
              HasSubstr("no backup from more than 1h ago"));
  EXPECT_THAT(refused({"restore", "--from", target_, "--message-id", "none", kAlice}), HasSubstr("--list"));
  EXPECT_THAT(refused({"restore", "--from", target_}, kUsage), HasSubstr("--all"));
  EXPECT_THAT(refused({"restore", "--from", target_, "--uid", "1", kAlice}, kUsage), HasSubstr("--folder"));
  EXPECT_THAT(refused({"restore", "--from", target_, "--all"}), HasSubstr("empty state folder"));
  done({"account", "add", "--password-stdin", "late@example.test"}, "wonderland 8\n");
  EXPECT_THAT(refused({"restore", "--from", target_, "late@example.test"}), HasSubstr("no account"));
}

TEST_F(BackupCommandTest, AnAccountBecomesWhatItWas) {
  done({"backup", target_});
  append("INBOX", "late", "<4@example.net>");
  const auto answer = json({"restore", "--from", target_, "--replace", kAlice});
  EXPECT_TRUE(fs::exists(answer["kept"].get<std::string>()));
  EXPECT_EQ(messages("INBOX"), 2U);
  damage();
  EXPECT_THAT(done({"restore", "--from", target_, "--replace", kAlice}), HasSubstr("is what it was"));
  EXPECT_EQ(messages("INBOX"), 2U);
}

TEST_F(BackupCommandTest, EverythingComesBackIntoAnEmptyFolder) {
  done({"backup", target_});
  const std::string gone = state_ + "-gone";
  fs::rename(state_, gone);
  fs::create_directory(state_);
  { std::ofstream(state_ + "/mta.pid") << ""; }
  done({"restore", "--from", target_, "--all"});
  EXPECT_EQ(messages("INBOX"), 2U);
  EXPECT_TRUE(logs_in(kAlice, "wonderland 7"));
  EXPECT_THAT(done({"audit", "--files"}), HasSubstr("Everything adds up"));
  fs::remove_all(gone);
}

TEST_F(BackupCommandTest, RecoversWhatIsLeft) {
  EXPECT_THAT(done({"recover", kAlice}), HasSubstr("nothing to recover"));
  accounts_.open(1)->checkpoint();
  accounts_.forget(1);
  for (const char* part : {"-wal", "-shm"}) fs::remove(path() + part);
  { std::fstream(path(), std::ios::in | std::ios::out) << "no header any more"; }
  EXPECT_THAT(call({"account", "show", kAlice}).error, HasSubstr("mailctl recover"));
  EXPECT_TRUE(store::is_set_aside(path()));
  EXPECT_THAT(call({"doctor", "--offline"}).out, HasSubstr("mailctl recover"));
  const auto answer = json({"recover", kAlice});
  EXPECT_EQ(answer["messages"], 3);
  EXPECT_TRUE(fs::exists(answer["read"].get<std::string>())) << "the damaged file stays";
  EXPECT_EQ(messages("INBOX"), 2U);
  EXPECT_THAT(done({"audit", "--files"}), HasSubstr("Everything adds up"));
}

TEST_F(BackupCommandTest, ALogThatWasDeletedUnderADaemonIsNoDamage) {
  accounts_.open(1);  // as a daemon does, which has it open from here on
  ASSERT_TRUE(fs::remove(path() + "-wal"));
  EXPECT_THAT(refused({"recover", kAlice}), HasSubstr("Somebody deleted the log"));
  EXPECT_FALSE(store::is_set_aside(path()));
  EXPECT_EQ(messages("INBOX"), 2U) << "the daemon lacks nothing, and has put it into the file";
  EXPECT_THAT(done({"recover", kAlice}), HasSubstr("nothing to recover"));
  append("INBOX", "late", "<4@example.net>");
  accounts_.forget(1);
  EXPECT_THAT(done({"audit", "--files"}), HasSubstr("Everything adds up"));
  EXPECT_EQ(messages("INBOX"), 3U);
}

TEST_F(BackupCommandTest, AnAccountOfWhichNothingIsLeftBeginsAnew) {
  damage();
  EXPECT_THAT(call({"recover", kAlice}).error, HasSubstr("nothing of it can be read"));
  EXPECT_THAT(done({"recover", "--empty", kAlice}), HasSubstr("begins anew"));
  EXPECT_EQ(messages("INBOX"), 0U);
}

TEST_F(BackupCommandTest, TheVersionBeforeOpensWhatWasTakenBack) {
  accounts_.forget(1);
  EXPECT_THAT(done({"downgrade"}), HasSubstr("2 files are"));
  EXPECT_THAT(done({"downgrade"}), HasSubstr("nothing to take back"));
  {
    // The program of the version before, as far as files go: it knows all steps but the last.
    store::Database account(path(), store::OpenMode::must_exist, store::Sync::normal);
    store::migrate(account, std::span(store::kAccountMigrations).first(store::kAccountMigrations.size() - 1));
    store::Database directory(state_ + "/directory.db", store::OpenMode::must_exist, store::Sync::normal);
    store::migrate(directory, std::span(store::kDirectoryMigrations).first(store::kDirectoryMigrations.size() - 1));
  }
  EXPECT_EQ(messages("INBOX"), 2U) << "and the new one again";
  EXPECT_TRUE(fs::exists(fmt::format("{}.before-v{}", path(), store::kAccountMigrations.size())));
  EXPECT_THAT(done({"audit", "--files"}), HasSubstr("Everything adds up"));
}

}  // namespace
}  // namespace postrider::mailctl
