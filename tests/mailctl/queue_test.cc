// mailctl queue and trace, over a queue that no mta works on.
#include "store/queue.h"

#include <asio.hpp>

#include "common/net/hint.h"
#include "store/accounts.h"
#include "tests/mailctl/mailctl_fixture.h"

namespace postrider::mailctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class QueueCommandTest : public MailctlTest {
 protected:
  QueueCommandTest() { add_alice(); }

  store::QueueId put(const std::string& to, const std::string& from = "alice@example.test",
                     store::AccountId account = 0) {
    store::Queue queue(state_, clock_);
    store::QueuedMessage message;
    message.id = queue.next_id();
    message.reverse_path = from;
    message.client = "client.example [192.0.2.1]";
    message.message_id = "<" + to + ".1>";
    message.accepted = clock_.unix_time();
    store::Spool body(queue.spool_directory());
    body.append("Subject: x\r\n\r\nhello\r\n");
    message.body = std::make_shared<const store::Spool>(std::move(body));
    store::QueuedRecipient recipient;
    recipient.number = 1;
    recipient.account = account;
    recipient.address = recipient.original = to;
    recipient.next_attempt = clock_.unix_time() + 3'600;
    message.recipients.push_back(recipient);
    const store::QueuedMessage* accepted[] = {&message};
    queue.commit(accepted, {});
    return message.id;
  }
  void say(store::RecipientUpdate update) {
    update.number = 1;
    update.time = clock_.unix_time();
    store::Queue(state_, clock_).update({&update, 1});
  }
  void defer(store::QueueId id) {
    store::RecipientUpdate update;
    update.message = id;
    update.next_attempt = clock_.unix_time() + 600;
    update.remote = "mx.example.net [192.0.2.7]";
    update.tls = "TLSv1.3 X";
    update.last_reply = "451 4.7.1 Greylisted";
    say(update);
  }
  std::vector<std::string> listed(std::vector<std::string> options) {
    options.insert(options.begin(), {"queue", "list"});
    std::vector<std::string> recipients;
    for (const auto& row : json(std::move(options))) recipients.push_back(row["recipient"]);
    return recipients;
  }
  static std::string text(store::QueueId id) { return store::queue_id_text(id); }

  SystemClock clock_;
};

TEST_F(QueueCommandTest, ListExplains) {
  defer(put("bob@example.net"));
  const std::string table = done({"queue", "list"});
  EXPECT_THAT(table, HasSubstr("<alice@example.test>"));
  EXPECT_THAT(table, HasSubstr("bob@example.net"));
  EXPECT_THAT(table, HasSubstr("waiting"));
  EXPECT_THAT(table, HasSubstr("451 4.7.1 Greylisted\n"));
}

TEST_F(QueueCommandTest, ListHasFilters) {
  put("bob@example.net");
  put("carol@example.com", "");
  EXPECT_THAT(listed({"--destination", "Example.NET"}), ElementsAre("bob@example.net"));
  EXPECT_THAT(listed({"--sender", "<>"}), ElementsAre("carol@example.com"));
  EXPECT_THAT(listed({"--older-than", "1h"}), SizeIs(0));
  EXPECT_THAT(listed({"--state", "held"}), SizeIs(0));
  EXPECT_THAT(listed({"--limit", "1"}), SizeIs(1));
  EXPECT_THAT(done({"queue", "list", "--limit", "1"}), HasSubstr("There are more than these 1"));
  EXPECT_THAT(refused({"queue", "list", "--state", "asleep"}, kUsage), HasSubstr("waiting, held and active"));
  EXPECT_THAT(refused({"queue", "list", "--older-than", "soon"}, kUsage), HasSubstr("no duration"));
}

TEST_F(QueueCommandTest, ShowTellsOfEveryRecipient) {
  const store::QueueId id = put("bob@example.net");
  defer(id);
  const auto shown = json({"queue", "show", text(id)});
  EXPECT_EQ(shown["client"], "client.example [192.0.2.1]");
  EXPECT_EQ(shown["recipients"][0]["last_reply"], "451 4.7.1 Greylisted");
  EXPECT_EQ(shown["recipients"][0]["state"], "waiting");
  EXPECT_THAT(refused({"queue", "show", "00000000"}), HasSubstr("mailctl trace"));
}

TEST_F(QueueCommandTest, HeldMailIsShownAndReleased) {
  const store::QueueId id = put("bob@example.net");
  EXPECT_EQ(done({"queue", "hold", text(id)}), "1 recipient is held.\n");
  EXPECT_THAT(listed({"--state", "held"}), ElementsAre("bob@example.net"));
  EXPECT_EQ(json({"queue", "retry", "--all"})["recipients"], 0);
  EXPECT_EQ(json({"queue", "release", "--destination", "example.net"})["recipients"], 1);
  EXPECT_THAT(listed({"--state", "held"}), SizeIs(0));
}

TEST_F(QueueCommandTest, RemovedMailIsGoneAndTraced) {
  const store::QueueId id = put("bob@example.net");
  put("carol@example.com");
  EXPECT_EQ(done({"queue", "remove", text(id)}), "1 recipient is removed.\n");
  EXPECT_THAT(listed({}), ElementsAre("carol@example.com"));
  EXPECT_THAT(done({"trace", text(id)}), HasSubstr("removed by the administrator"));
  EXPECT_THAT(refused({"queue", "remove", text(id)}), HasSubstr("mailctl trace"));
}

TEST_F(QueueCommandTest, BouncedMailIsDueWithItsReason) {
  const store::QueueId id = put("bob@example.net");
  done({"queue", "bounce", "--reason", "No more mail to them", text(id)});
  store::Queue queue(state_, clock_);
  const auto due = queue.take_due(clock_.unix_time(), false, 10);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].recipients[0].wish, store::Wish::bounce);
  EXPECT_EQ(due[0].recipients[0].last_reply, "550 5.7.0 No more mail to them");
}

TEST_F(QueueCommandTest, FlushIsForOneDestination) {
  put("bob@example.net");
  put("carol@example.com");
  EXPECT_EQ(done({"queue", "flush", "example.net"}), "1 recipient is tried now.\n");
  store::Queue queue(state_, clock_);
  EXPECT_EQ(queue.take_due(clock_.unix_time(), false, 10).size(), 1U);
}

TEST_F(QueueCommandTest, NothingIsChangedWithoutSayingWhich) {
  put("bob@example.net");
  for (const char* verb : {"retry", "hold", "release", "remove", "bounce"}) {
    EXPECT_THAT(refused({"queue", verb}, kUsage), HasSubstr("--all"));
  }
  EXPECT_THAT(listed({}), SizeIs(1));
}

TEST_F(QueueCommandTest, TheOwnerOfTheQueueIsWoken) {
  const store::QueueId id = put("bob@example.net");
  std::filesystem::create_directories(state_ + "/run");
  asio::io_context loop;
  int woken = 0;
  net::HintReceiver receiver(loop, state_ + "/" + store::kQueueSocket, [&](const net::Hint&) {
    ++woken;
    loop.stop();
  });
  done({"queue", "retry", text(id)});
  loop.run_for(std::chrono::seconds(20));
  EXPECT_EQ(woken, 1);
}

TEST_F(QueueCommandTest, StatsCountByDestination) {
  put("bob@example.net");
  put("carol@example.net");
  defer(put("dave@example.com"));
  const auto rows = json({"queue", "stats"});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["destination"], "example.net");
  EXPECT_EQ(rows[0]["waiting"], 2);
  EXPECT_EQ(rows[1]["reason"], "451 4.7.1 Greylisted");
}

TEST_F(QueueCommandTest, TraceTellsTheStory) {
  const store::QueueId id = put("bob@example.net");
  defer(id);
  store::RecipientUpdate end;
  end.message = id;
  end.ended = true;
  end.ending = store::Ending::relayed;
  end.remote = "mx.example.net [192.0.2.7]";
  end.tls = "TLSv1.3 X";
  end.last_reply = "250 2.0.0 Queued as 7";
  say(end);
  for (const std::string& what : {text(id), std::string("<bob@example.net.1>"), std::string("bob@example.net")}) {
    const std::string story = done({"trace", what});
    EXPECT_THAT(story, HasSubstr("Message " + text(id)));
    EXPECT_THAT(story, HasSubstr("Came from   client.example [192.0.2.1]"));
    EXPECT_THAT(story, HasSubstr("mx.example.net [192.0.2.7] (TLSv1.3 X) said: 451 4.7.1 Greylisted"));
    EXPECT_THAT(story, HasSubstr("handed over: mx.example.net [192.0.2.7] (TLSv1.3 X) said: 250 2.0.0 Queued as 7"));
  }
  const auto stories = json({"trace", text(id)});
  EXPECT_EQ(stories[0]["recipients"][0]["state"], "relayed");
  EXPECT_EQ(stories[0]["recipients"][0]["attempts"][0]["reply"], "451 4.7.1 Greylisted");
  EXPECT_THAT(refused({"trace", "nobody@example.net"}), HasSubstr("queue.history"));
}

TEST_F(QueueCommandTest, TraceNamesTheMailbox) {
  store::Directory directory(state_, clock_);
  const store::AccountId alice = directory.accounts().at(0).id;
  store::Accounts accounts(state_, 1, clock_);
  const store::QueueId id = put("alice@example.test", "bob@example.net", alice);
  store::RecipientUpdate end;
  end.message = id;
  end.ended = true;
  end.mailbox = accounts.open(alice)->find_mailbox("INBOX")->id;
  end.uid = 42;
  say(end);
  EXPECT_THAT(done({"trace", text(id)}), HasSubstr("put into INBOX of alice@example.test, UID 42"));
  EXPECT_EQ(json({"trace", text(id)})[0]["recipients"][0]["mailbox"], "INBOX");
}

}  // namespace
}  // namespace postrider::mailctl
