// mailctl export and import: round trips, again and after an interruption.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <set>

#include "mailctl_fixture.h"
#include "store/accounts.h"

namespace postrider::mailctl {
namespace {

namespace fs = std::filesystem;
using store::Flags;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr const char* kAlice = "alice@example.test";
constexpr const char* kBob = "bob@example.test";

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> names_in(const fs::path& path) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class TransferTest : public MailctlTest {
 protected:
  TransferTest() {
    add_alice();
    done({"account", "add", "--password-stdin", kBob}, "wonderland 8\n");
  }

  void append(const std::string& mailbox, std::string_view text, uint64_t flags = 0,
              const std::vector<std::string>& keywords = {}, UnixTime date = 1'000'000'000) {
    auto account = accounts_.open(1);
    store::Spool spool(state_);
    spool.append(text);
    store::Edit edit(*account);
    auto found = account->find_mailbox(mailbox);
    const auto id = found ? found->id : edit.create_mailbox(mailbox, "").value();
    const Flags all(flags | edit.keyword_bits(keywords)->bits());
    EXPECT_TRUE(
        edit.append(id, store::prepare_message(std::make_shared<store::Spool>(std::move(spool))), "", all, date, 0, 0));
    edit.commit_flushed();
  }

  /// "flags keywords date text" of each message.
  std::vector<std::string> content(store::AccountId id, const std::string& mailbox) {
    auto account = accounts_.open(id);
    const auto found = account->find_mailbox(mailbox);
    std::vector<std::string> all;
    if (!found) return {"no such mailbox"};
    const auto keywords = account->keywords();
    account->scan(found->id, {1, UINT32_MAX}, store::kWantDate, [&](const store::MessageRow& row) {
      std::string names, text;
      std::set<std::string> sorted;
      for (size_t i = 0; i < keywords.size(); ++i) {
        if ((row.flags.bits() >> (i + Flags::kFirstKeywordBit) & 1) != 0) sorted.insert(keywords[i]);
      }
      for (const std::string& name : sorted) names += name + ',';
      while (text.size() < row.size) account->read(row.message, text.size(), 100'000, text);
      all.push_back(fmt::format("{} {} {} {}", row.flags.bits() & Flags::kSystem, names, row.internal_date, text));
      return true;
    });
    return all;
  }

  void fill() {
    append("INBOX", "Subject: one\r\n\r\nFrom here\r\n>From there\r\n\r\n\r\n", Flags::kSeen | Flags::kAnswered);
    append("INBOX", "Subject: two\r\nX: \xff\xfe\r\n\r\nbody\r\n", Flags::kFlagged | Flags::kDraft,
           {"$Forwarded", "Work"}, 1'000'000'100);
    append("Bücher/v1.2", fmt::format("Subject: huge\r\n\r\n{}\r\nend\r\n", std::string(700'000, 'y')), Flags::kDeleted,
           {"Work"}, 1'000'000'200);
    append("Bücher", "Subject: only a header\r\n\r\n");
  }
  void expect_same(const std::string& mailbox) { EXPECT_EQ(content(2, mailbox), content(1, mailbox)) << mailbox; }

  fs::path place(const char* name) const { return fs::path(state_) / "transfer" / name; }

  SystemClock clock_;
  store::Accounts accounts_{state_, 4, clock_};
};

TEST_F(TransferTest, MaildirComesBack) {
  fill();
  const std::string to = place("maildir");
  const auto first = json({"export", "--maildir", to, kAlice});
  EXPECT_EQ(first["exported"], 4);
  EXPECT_EQ(first["already_there"], 0);
  EXPECT_TRUE(fs::exists(to + "/.B&APw-cher.v1&AC4-2/cur"));
  EXPECT_TRUE(fs::exists(to + "/.B&APw-cher/maildirfolder"));
  const auto import = json({"import", "--maildir", to, kBob});
  EXPECT_EQ(import["imported"], 4);
  EXPECT_EQ(import["passed_over"], 0);
  for (const char* mailbox : {"INBOX", "Bücher", "Bücher/v1.2"}) expect_same(mailbox);
  // Again: nothing is written, nothing is imported.
  EXPECT_EQ(json({"export", "--maildir", to, kAlice})["already_there"], 4);
  const auto again = json({"import", "--maildir", to, kBob});
  EXPECT_EQ(again["imported"], 0);
  EXPECT_EQ(again["already_there"], 4);
  EXPECT_THAT(content(2, "INBOX"), SizeIs(2));
}

TEST_F(TransferTest, MaildirFollowsFlagsAndTakesWhatIsNew) {
  fill();
  const std::string to = place("maildir");
  done({"export", "--maildir", to, kAlice});
  {
    auto account = accounts_.open(1);
    store::Edit edit(*account);
    edit.store_flags(account->find_mailbox("INBOX")->id, {{1, 1}}, store::FlagChange::replace, Flags(Flags::kFlagged),
                     {});
    edit.commit_flushed();
  }
  append("INBOX", "Subject: three\r\n\r\n");
  put(to + "/tmp/leftover", "an export that was interrupted");
  const auto again = json({"export", "--maildir", to, kAlice});
  EXPECT_EQ(again["exported"], 1);
  EXPECT_EQ(again["already_there"], 4);
  EXPECT_EQ(again["flags_changed"], 1);
  const auto names = names_in(to + "/cur");
  EXPECT_THAT(names, SizeIs(3));
  EXPECT_THAT(names[0], HasSubstr("U1.alice@example.test:2,F"));
  json({"import", "--maildir", to, kBob});
  EXPECT_THAT(content(2, "INBOX"), testing::UnorderedElementsAreArray(content(1, "INBOX")));
}

TEST_F(TransferTest, ImportsWhatOthersWriteIntoAMaildir) {
  const fs::path from = place("old");
  put(from / "new/1500000000.M1.host", "Subject: new\n\nLF\n");
  put(from / "cur/1400000000.M2.host:2,Sa", "Subject: old\r\n\r\nCRLF\r\n");
  put(from / "dovecot-keywords", "0 Work\n");
  put(from / ".Sent/cur/1.host:2,RSP", "Subject: sent\n\n");
  put(from / "plain/cur/1.host:2,b", "Subject: plain\n\n");
  put(from / "plain/inner/cur/1.host:2,", "Subject: inner\n\n");
  put(from / "subscriptions", "Sent\nplain.inner\n");
  const timespec times[] = {{1'234'567'890, 0}, {1'234'567'890, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (from / "new/1500000000.M1.host").c_str(), times, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, (from / "cur/1400000000.M2.host:2,Sa").c_str(), times, 0), 0);
  const auto import = json({"import", "--maildir", from, kAlice});
  EXPECT_EQ(import["imported"], 5);
  EXPECT_THAT(import["notes"], SizeIs(1));  // the keyword b
  EXPECT_THAT(content(1, "INBOX"), ElementsAre("1 Work, 1234567890 Subject: old\r\n\r\nCRLF\r\n",
                                               "0  1234567890 Subject: new\r\n\r\nLF\r\n"));
  EXPECT_THAT(content(1, "Sent")[0], HasSubstr("3 $Forwarded,"));
  EXPECT_THAT(content(1, "plain/inner"), SizeIs(1));
  EXPECT_FALSE(accounts_.open(1)->find_mailbox("plain")->subscribed);
  EXPECT_TRUE(accounts_.open(1)->find_mailbox("plain/inner")->subscribed);
  EXPECT_TRUE(fs::exists(from / "new/1500000000.M1.host"));
}

TEST_F(TransferTest, WhatIsNoMessageIsToldAndPassedOver) {
  const fs::path from = place("old");
  put(from / "cur/1.host:2,", "");
  put(from / "cur/2.host:2,", "\nno header\n");
  put(from / "cur/3.host:2,", "Subject: good\n\n");
  fs::create_symlink("/etc/passwd", from / "cur/4.host:2,");
  fs::create_directory_symlink(from, from / "loop");
  const Outcome outcome = call({"import", "--maildir", from, kAlice});
  EXPECT_EQ(outcome.status, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr("it is empty"));
  EXPECT_THAT(outcome.out, HasSubstr("header"));
  EXPECT_THAT(outcome.out, HasSubstr("4.host"));
  EXPECT_THAT(outcome.out, HasSubstr("loop"));
  EXPECT_THAT(outcome.out, HasSubstr("1 message imported"));
  EXPECT_THAT(content(1, "INBOX"), SizeIs(1));
}

TEST_F(TransferTest, OneFolderAndAnotherPlace) {
  fill();
  const std::string to = place("maildir");
  EXPECT_EQ(json({"export", "--maildir", to, "--folder", "Bücher", kAlice})["exported"], 1);
  EXPECT_THAT(refused({"export", "--maildir", to, "--folder", "Nowhere", kAlice}), HasSubstr("Nowhere"));
  done({"export", "--maildir", to, kAlice});
  json({"import", "--maildir", to, "--into", "Old", kBob});
  EXPECT_THAT(content(2, "Old"), SizeIs(2));
  EXPECT_THAT(content(2, "Old/Bücher/v1.2"), SizeIs(1));
  EXPECT_THAT(content(2, "INBOX"), SizeIs(0));
  EXPECT_EQ(json({"import", "--maildir", to, "--folder", "Bücher", "--into", "Books", kBob})["imported"], 1);
  EXPECT_THAT(content(2, "Books"), SizeIs(1));
}

TEST_F(TransferTest, MboxComesBack) {
  fill();
  const std::string to = place("mbox");
  EXPECT_EQ(json({"export", "--mbox", to, kAlice})["exported"], 4);
  EXPECT_THAT(slurp(to + "/INBOX.mbox"), HasSubstr("\n>From here\n>>From there\n"));
  EXPECT_TRUE(fs::exists(to + "/B&APw-cher/v1&AC4-2.mbox"));
  EXPECT_EQ(json({"import", "--mbox", to, kBob})["imported"], 4);
  for (const char* mailbox : {"INBOX", "Bücher", "Bücher/v1.2"}) expect_same(mailbox);
  const auto again = json({"import", "--mbox", to, kBob});
  EXPECT_EQ(again["imported"], 0);
  EXPECT_EQ(again["already_there"], 4);
  EXPECT_EQ(json({"import", "--mbox", to + "/B&APw-cher.mbox", "--into", "Old", kBob})["imported"], 1);
  EXPECT_THAT(content(2, "Old"), SizeIs(1));
}

TEST_F(TransferTest, MboxGoesOnWhereItEnded) {
  fill();
  const std::string to = place("mbox"), file = to + "/INBOX.mbox", state = to + "/.INBOX.mbox.state";
  done({"export", "--mbox", to, kAlice});
  const std::string whole = slurp(file), ended = slurp(state);
  EXPECT_EQ(json({"export", "--mbox", to, kAlice})["already_there"], 4);
  EXPECT_EQ(slurp(file), whole);
  append("INBOX", "Subject: three\r\n\r\n");
  EXPECT_EQ(json({"export", "--mbox", to, kAlice})["exported"], 1);
  const std::string longer = slurp(file);
  EXPECT_TRUE(longer.starts_with(whole));
  EXPECT_GT(longer.size(), whole.size());
  // Interrupted: the state is that of before, but says that more was to come, and the file is torn.
  put(state, ended.substr(0, ended.size() - 2) + "0\n");
  put(file, longer.substr(0, longer.size() - 5));
  EXPECT_EQ(json({"export", "--mbox", to, kAlice})["exported"], 1);
  EXPECT_EQ(slurp(file), longer);
  // Somebody else's mail in it is not cut off.
  put(file, longer + "From x Thu Jan  1 00:00:00 1970\n\n");
  EXPECT_THAT(refused({"export", "--mbox", to, kAlice}), HasSubstr("changed"));
  fs::remove(state);
  EXPECT_THAT(refused({"export", "--mbox", to, kAlice}), HasSubstr("go on"));
  EXPECT_GT(slurp(file).size(), longer.size());
}

TEST_F(TransferTest, MboxFilesOfOthers) {
  const fs::path from = place("mail");
  put(from / "inbox", "From a@b Thu Jan  1 00:00:10 1970\nSubject: a\nStatus: RO\n\nx\n");
  put(from / "sub/notes", "no mbox\n");
  put(from / "sub/list.mbox", "");
  const Outcome outcome = call({"import", "--mbox", from, kAlice});
  EXPECT_EQ(outcome.status, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr("notes: it is no mbox"));
  EXPECT_THAT(content(1, "INBOX"), ElementsAre("1  10 Subject: a\r\n\r\nx\r\n"));
  EXPECT_THAT(content(1, "sub/list"), SizeIs(0));
}

TEST_F(TransferTest, SaysWhatIsMissing) {
  EXPECT_THAT(refused({"export", kAlice}), HasSubstr("never had mail"));
  append("INBOX", "Subject: a\r\n\r\n");
  EXPECT_THAT(refused({"export", kAlice}, kUsage), HasSubstr("--maildir"));
  EXPECT_THAT(refused({"import", kAlice}, kUsage), HasSubstr("--imap"));
  EXPECT_EQ(call({"import", "--maildir", state_ + "/nowhere", kAlice}).status, kFailed);
  EXPECT_THAT(call({"import", "--maildir", state_, kAlice}).error, HasSubstr("no Maildir"));
  EXPECT_THAT(call({"import", "--mbox", state_ + "/nowhere", kAlice}).error, HasSubstr("cannot be read"));
  EXPECT_THAT(refused({"import", "--maildir", "/tmp", "nobody@example.test"}), HasSubstr("nobody"));
}

TEST_F(TransferTest, AnAuditFindsNothingWrong) {
  const fs::path from = place("old");
  put(from / "cur/1.host:2,S", "Subject: good\n\n");
  done({"import", "--maildir", from, kAlice});
  EXPECT_EQ(call({"audit"}).status, kDone);
}

}  // namespace
}  // namespace postrider::mailctl
