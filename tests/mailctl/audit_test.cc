// mailctl audit: names what does not add up, and its exit status says whether there is any.
#include "mailctl_fixture.h"
#include "store/queue.h"

namespace postrider::mailctl {
namespace {

using testing::HasSubstr;

class AuditCommandTest : public MailctlTest {
 protected:
  AuditCommandTest() { add_alice(); }
  store::QueueId accept() {
    store::Queue queue(state_, yesterday_);
    store::QueuedMessage message;
    message.id = queue.next_id();
    message.reverse_path = "carol@example.net";
    message.accepted = yesterday_.unix_time();
    store::Spool spool(queue.spool_directory());
    spool.append("Subject: x\r\n\r\nhello\r\n");
    message.body = std::make_shared<const store::Spool>(std::move(spool));
    message.recipients.resize(1);
    message.recipients[0].number = 1;
    message.recipients[0].address = "dave@example.org";
    const store::QueuedMessage* accepted[] = {&message};
    queue.commit(accepted, {});
    return message.id;
  }

  ManualClock yesterday_{SystemClock().unix_time() - 86'400};
};

TEST_F(AuditCommandTest, AddsUp) {
  EXPECT_THAT(done({"audit"}), HasSubstr("Everything adds up."));
  accept();
  EXPECT_THAT(done({"audit", "--files"}), HasSubstr("1 waiting"));
  const auto all = json({"audit"});
  EXPECT_EQ(all["waiting"], 1);
  EXPECT_EQ(all["findings"], 0);
}

TEST_F(AuditCommandTest, NamesWhatDoesNot) {
  const std::string id = store::queue_id_text(accept());
  accept();
  store::Database(state_ + "/queue.db", store::OpenMode::must_exist, store::Sync::normal).execute("DELETE FROM body");
  Outcome outcome = call({"audit", "--limit", "1"});
  EXPECT_EQ(outcome.status, kFailed);
  EXPECT_THAT(outcome.error, HasSubstr("2 of the things"));
  EXPECT_THAT(outcome.out, HasSubstr("Message " + id + ", accepted "));
  EXPECT_THAT(outcome.out, HasSubstr("from <carol@example.net>"));
  EXPECT_THAT(outcome.out, HasSubstr("  Missing  The text of the message"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("adds up")));
  outcome = call({"--json", "audit"});
  EXPECT_EQ(outcome.status, kFailed);
  const auto all = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(all["found"].size(), 2U);
  EXPECT_EQ(all["found"][0]["kind"], "body_lost");
  EXPECT_EQ(all["found"][0]["id"], id);
  EXPECT_EQ(all["found"][0]["sender"], "<carol@example.net>");
}

}  // namespace
}  // namespace postrider::mailctl
