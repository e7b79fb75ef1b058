// mailctl restore: what was removed comes back.
#include <fmt/format.h>

#include "mailctl_fixture.h"
#include "store/accounts.h"

namespace postrider::mailctl {
namespace {

using testing::HasSubstr;

class RestoreTest : public MailctlTest {
 protected:
  RestoreTest() {
    add_alice();
    auto account = accounts_.open(1);
    append(*account, "INBOX", "Invoice 1");
    append(*account, "INBOX", "=?utf-8?Q?Rechnung_f=C3=BCr_Mai?=");
    append(*account, "Archive", "Plans");
    store::Edit edit(*account);
    edit.remove(account->find_mailbox("INBOX")->id, {{1, 2}});
    EXPECT_TRUE(edit.delete_mailbox("Archive"));
    edit.commit_flushed();
  }
  void append(store::Account& account, const char* mailbox, std::string_view subject) {
    store::Spool spool(state_);
    spool.append(fmt::format("From: bob@example.test\r\nSubject: {}\r\n\r\nHello\r\n", subject));
    store::Edit edit(account);
    EXPECT_TRUE(edit.append(account.find_mailbox(mailbox)->id,
                            store::prepare_message(std::make_shared<store::Spool>(std::move(spool))), "", {}, 1, 0, 0));
    edit.commit_flushed();
  }
  uint32_t messages(const char* mailbox) {
    auto found = accounts_.open(1)->find_mailbox(mailbox);
    return found ? found->messages : 0;
  }

  SystemClock clock_;
  store::Accounts accounts_{state_, 4, clock_};
};

TEST_F(RestoreTest, ListsWhatCanComeBack) {
  const auto rows = json({"restore", "--list", "alice@example.test"});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["subject"], "Invoice 1");
  EXPECT_EQ(rows[0]["from"], "bob@example.test");
  EXPECT_EQ(rows[1]["subject"], "Rechnung für Mai");
  EXPECT_EQ(rows[2]["folder"], "Archive");
  EXPECT_EQ(rows[2]["folder_deleted"], true);
  EXPECT_THAT(done({"restore", "--list", "--subject", "FÜR", "alice@example.test"}), HasSubstr("Rechnung"));
  EXPECT_EQ(messages("INBOX"), 0U);
}

TEST_F(RestoreTest, RestoresWhatFits) {
  EXPECT_EQ(json({"restore", "--subject", "invoice", "alice@example.test"})["restored"], 1);
  EXPECT_EQ(messages("INBOX"), 1U);
  EXPECT_EQ(messages("Archive"), 0U);
  EXPECT_EQ(json({"restore", "--folder", "Archive", "alice@example.test"})["restored"], 1);
  EXPECT_EQ(messages("Archive"), 1U);
  EXPECT_EQ(json({"restore", "--since", "1h", "--to", "Drafts", "alice@example.test"})["restored"], 1);
  EXPECT_EQ(messages("Drafts"), 1U);
  EXPECT_THAT(refused({"restore", "alice@example.test"}), HasSubstr("--list"));
}

TEST_F(RestoreTest, TimesSayHowLongAgoItWasRemoved) {
  ManualClock then(clock_.unix_time() - 3 * 3600);
  {
    store::Accounts earlier(state_, 1, then);
    auto account = earlier.open(1);
    append(*account, "Drafts", "Early");
    store::Edit edit(*account);
    edit.remove(account->find_mailbox("Drafts")->id, {{1, 1}});
    edit.commit_flushed();
  }
  const auto listed = [&](const char* option, const char* age) {
    return json({"restore", "--list", option, age, "alice@example.test"}).size();
  };
  EXPECT_EQ(listed("--since", "4h"), 4U);
  EXPECT_EQ(listed("--since", "2h"), 3U);
  EXPECT_EQ(listed("--until", "2h"), 1U);
  EXPECT_EQ(listed("--until", "4h"), 0U);
}

TEST_F(RestoreTest, SaysWhatItDoesNotUnderstand) {
  EXPECT_THAT(refused({"restore", "--until", "1h", "alice@example.test"}), HasSubstr("--list"));
  EXPECT_THAT(refused({"restore", "--since", "yesterday", "alice@example.test"}, kUsage), HasSubstr("2h"));
  EXPECT_THAT(refused({"restore", "--to", "Nowhere", "alice@example.test"}), HasSubstr("Nowhere"));
  EXPECT_THAT(refused({"restore", "nobody@example.test"}), HasSubstr("nobody"));
}

}  // namespace
}  // namespace postrider::mailctl
