#include "mta/drop_reader.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/mta/fake_remote.h"

namespace postrider {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class DropReaderTest : public RemotePipeline {
 protected:
  DropReaderTest() {
    drop_options_.folder = state_.file("drop");
    drop_options_.system = options_.system;
    drop_options_.system.root = "alice@example.org";
    std::filesystem::create_directories(drop_options_.folder);
  }
  ~DropReaderTest() override { reader_.reset(); }

  void read() {
    auto accept = [this](store::QueuedMessage message, std::function<void(Acceptance)> complete) {
      runner_->accept(std::move(message), std::move(complete));
    };
    auto name = [this](uint32_t) { return user_; };
    reader_ = std::make_unique<DropReader>(drop_options_, directory_, *runner_, accept, clock_, name);
    reader_->start();
  }
  static DropEnvelope to(std::vector<std::string> recipients) {
    static int count = 0;
    DropEnvelope envelope;
    envelope.key = "0123456789abcdef" + std::to_string(count++);
    envelope.recipients = std::move(recipients);
    return envelope;
  }
  /// As the sendmail command does it: whole under another name, then under its own.
  void drop(const DropEnvelope& envelope, const std::string& text) {
    static int count = 0;
    put(format_drop_envelope(envelope) + text, "0." + std::to_string(1'000 + count++));
  }
  void put(const std::string& content, const std::string& name) {
    std::string path = drop_options_.folder + "/.tmp." + name;
    std::ofstream(path) << content;
    std::filesystem::rename(path, drop_options_.folder + "/" + name);
  }
  void wait_until_taken() {
    auto waits = [this] {
      for (const auto& entry : std::filesystem::directory_iterator(drop_options_.folder)) {
        if (!entry.path().filename().string().starts_with('.')) return true;
      }
      return false;
    };
    while (waits()) std::this_thread::yield();
  }

  DropReader::Options drop_options_;
  std::string user_ = "daemon";
  std::unique_ptr<DropReader> reader_;
};

TEST_F(DropReaderTest, WhatWasLeftWhileNobodyRanIsDelivered) {
  drop(to({"bob@example.org"}), "Subject: x\n\nhello\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  wait_until_taken();
  std::string text = inbox(bob_).at(0);
  EXPECT_THAT(text, StartsWith("Return-Path: <daemon@mx.example.org>\r\nDelivered-To: bob@example.org\r\n"
                               "Received: by mx.example.org (from uid "));
  EXPECT_THAT(text, HasSubstr("\r\nDate: "));
  EXPECT_THAT(text, HasSubstr("\r\nMessage-ID: <"));
  EXPECT_THAT(text, HasSubstr("\r\nFrom: <daemon@mx.example.org>\r\n"));
  EXPECT_THAT(text, testing::EndsWith("\r\nSubject: x\r\n\r\nhello\r\n"));
}

TEST_F(DropReaderTest, WhatIsLeftWhileItRunsIsTakenAtOnce) {
  read();
  drop(to({"bob@example.org"}), "Subject: 1\n\nx\n");
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  drop(to({"bob@example.org"}), "Subject: 2\n\nx\n");
  ASSERT_TRUE(wait_for_inbox(bob_, 2));
}

TEST_F(DropReaderTest, TextWithoutAHeaderGetsOne) {
  drop(to({"bob@example.org"}), "the disk is full\nnot: a field\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  EXPECT_THAT(inbox(bob_).at(0), testing::EndsWith(">\r\n\r\nthe disk is full\r\nnot: a field\r\n"));
}

TEST_F(DropReaderTest, FieldsThatAreThereStay) {
  drop(to({"bob@example.org"}),
       "From: Cron <cron@example.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <m@x>\n\nx\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  EXPECT_THAT(inbox(bob_).at(0), Not(HasSubstr("From: <daemon")));
  store::Queue queue(state_.path(), clock_);
  EXPECT_THAT(queue.find("<m@x>", 10), SizeIs(1));
}

TEST_F(DropReaderTest, AFileThatIsSeenAgainIsNotTakenTwice) {
  DropEnvelope envelope = to({"bob@example.org"});
  drop(envelope, "Subject: x\n\nhello\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  wait_until_taken();
  drop(envelope, "Subject: x\n\nhello\n");  // as after a crash before it was removed
  wait_until_taken();
  drop(to({"bob@example.org"}), "Subject: other\n\nx\n");
  ASSERT_TRUE(wait_for_inbox(bob_, 2));
  EXPECT_THAT(inbox(bob_).at(1), HasSubstr("Subject: other"));
}

TEST_F(DropReaderTest, RootsMailGoesToAPerson) {
  drop(to({"root"}), "Subject: from cron\n\nx\n");
  read();
  ASSERT_TRUE(wait_for_inbox(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("Delivered-To: root@mx.example.org\r\n"));
}

TEST_F(DropReaderTest, UsersGetTheirMailByTheirAccountOrGoToRoot) {
  drop(to({"bob", "daemon@mx.example.org", "root@localhost"}), "Subject: x\n\nx\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  ASSERT_TRUE(wait_for_inbox(alice_, 1));
  runner_->stop();
  EXPECT_THAT(inbox(alice_), SizeIs(1)) << "daemon and root are one person here";
}

TEST_F(DropReaderTest, NobodyComesBackAsAReportToWhoSent) {
  user_ = "bob";
  drop(to({"nobody-of-that-name", "not an@address@"}), "Subject: x\n\nx\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  EXPECT_THAT(inbox(bob_).at(0), HasSubstr("550 5.1.1 There is no such user here"));
  EXPECT_THAT(inbox(bob_).at(0), HasSubstr("Status: 5.1.3"));
}

TEST_F(DropReaderTest, AddressesElsewhereAreRelayed) {
  drop(to({"carol@Example.NET"}), "Subject: x\n\nx\n");
  read();
  auto got = remote_->take();
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->message().recipients.at(0).address, "carol@example.net");
}

TEST_F(DropReaderTest, TheDaemonsOwnUserMayNameASender) {
  DropEnvelope envelope = to({"carol@example.net", "dave@example.net"});
  envelope.sender = "boss@example.org";
  envelope.notify = "delay,failure";
  envelope.ret = "HDRS";
  envelope.envid = "E1";
  drop(envelope, "Subject: x\n\nx\n");
  read();
  auto got = remote_->take();
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->message().reverse_path, "boss@example.org");
  EXPECT_EQ(got->message().ret, "HDRS");
  EXPECT_EQ(got->message().envid, "E1");
  EXPECT_EQ(got->message().recipients.at(1).notify, store::kNotifyDelay | store::kNotifyFailure);
  envelope = to({"carol@example.net"});
  envelope.sender = "";
  drop(envelope, "Subject: y\n\nx\n");
  EXPECT_EQ(remote_->take()->message().reverse_path, "");
}

TEST(DropSender, IsTheUserUnlessHeMayNameAnother) {
  DropEnvelope envelope;
  EXPECT_EQ(drop_sender(envelope, "www-data", false, "mx.example.org"), "www-data@mx.example.org");
  for (const char* sender : {"boss@example.org", "", "root"}) {
    envelope.sender = sender;
    EXPECT_EQ(drop_sender(envelope, "www-data", false, "mx.example.org"), "www-data@mx.example.org") << sender;
  }
  EXPECT_EQ(drop_sender(envelope, "www-data", true, "mx.example.org"), "root@mx.example.org");
  envelope.sender = "boss@example.org";
  EXPECT_EQ(drop_sender(envelope, "www-data", true, "mx.example.org"), "boss@example.org");
  envelope.sender = "";
  EXPECT_EQ(drop_sender(envelope, "www-data", true, "mx.example.org"), "");
  envelope.sender = "no address@";
  EXPECT_EQ(drop_sender(envelope, "www-data", true, "mx.example.org"), "www-data@mx.example.org");
}

TEST(DropFields, AMessageThatBeginsWithItsEmptyLineGetsNoOther) {
  EXPECT_FALSE(drop_fields("\n", "mx", 1, "id", "a@b", "", 0).text.ends_with("\r\n\r\n"));
  EXPECT_TRUE(drop_fields("hello\n", "mx", 1, "id", "a@b", "", 0).text.ends_with("\r\n\r\n"));
  EXPECT_FALSE(drop_fields("Subject: x\n", "mx", 1, "id", "a@b", "", 0).text.ends_with("\r\n\r\n"));
}

TEST(DropFields, ANameStandsInTheFromField) {
  EXPECT_THAT(drop_fields("", "mx", 1, "id", "a@b", "Cron \"Daemon\"", 0).text,
              HasSubstr("From: \"Cron \\\"Daemon\\\"\" <a@b>\r\n"));
}

TEST_F(DropReaderTest, BadFilesAreSetAside) {
  put("rubbish", "0.7");
  std::filesystem::create_directories(drop_options_.folder + "/0.8");
  std::filesystem::create_symlink("/etc/passwd", drop_options_.folder + "/0.9");
  drop_options_.max_message_size = 1'000;
  put(format_drop_envelope(to({"bob@example.org"})) + std::string(kMaxDropEnvelope + 1'000, 'x'), "0.10");
  drop(to({"bob@example.org"}), "Subject: good\n\nx\n");
  read();
  ASSERT_TRUE(wait_for_inbox(bob_, 1));
  wait_until_taken();
  for (const char* name : {"0.7", "0.8", "0.9", "0.10"}) {
    EXPECT_TRUE(std::filesystem::is_symlink(std::filesystem::symlink_status(drop_options_.folder + "/.bad-" + name)) ||
                std::filesystem::exists(drop_options_.folder + "/.bad-" + name))
        << name;
  }
  EXPECT_THAT(inbox(bob_), SizeIs(1));
}

TEST_F(DropReaderTest, AReportToAUserOfTheMachineReachesHisPerson) {
  options_.system.root = "alice@example.org";
  runner_->configure(options_);
  drop(to({"carol@example.net"}), "Subject: x\n\nx\n");
  read();
  settle(*remote_->take(), Outcome::permanent("5.1.1", "550 5.1.1 no"));
  ASSERT_TRUE(wait_for_inbox(alice_, 1));
  EXPECT_THAT(inbox(alice_).at(0), HasSubstr("To: <daemon@mx.example.org>"));
}

}  // namespace
}  // namespace postrider
