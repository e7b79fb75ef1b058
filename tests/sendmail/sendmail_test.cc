#include "mailctl/sendmail/sendmail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/mail/drop_file.h"
#include "mailctl/sendmail/drop_writer.h"
#include "mailctl/sendmail/message.h"

namespace postrider::sendmail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

Arguments parsed(std::vector<std::string> arguments, const std::string& program = "/usr/sbin/sendmail") {
  auto result = parse_arguments(program, arguments);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : Arguments();
}

TEST(SendmailArguments, AreThoseOfFortyYears) {
  Arguments arguments = parsed({"-oi", "-f", "a@example.org", "-FAnna", "-odb", "-t", "--", "-x@example.org", "b"});
  EXPECT_TRUE(arguments.dots_are_text);
  EXPECT_TRUE(arguments.recipients_from_header);
  EXPECT_EQ(arguments.sender, "a@example.org");
  EXPECT_EQ(arguments.full_name, "Anna");
  EXPECT_THAT(arguments.recipients, ElementsAre("-x@example.org", "b"));
  EXPECT_EQ(parsed({"-ti"}).recipients_from_header, true) << "as PHP writes it";
  EXPECT_EQ(parsed({"-ti"}).dots_are_text, true);
  EXPECT_EQ(parsed({"-i", "-f<>", "x"}).sender, "");
  EXPECT_EQ(parsed({"-r<a@example.org>", "x"}).sender, "a@example.org");
  EXPECT_EQ(parsed({"-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"}).recipients, std::vector<std::string>{"root"})
      << "as cron writes it";
  EXPECT_EQ(parsed({"-N", "success,delay", "-Rhdrs", "-V", "id 7", "x"}).ret, "HDRS");
}

TEST(SendmailArguments, NamesAndModes) {
  EXPECT_EQ(parsed({}, "/usr/bin/mailq").mode, Mode::list_queue);
  EXPECT_EQ(parsed({}, "newaliases").mode, Mode::new_aliases);
  EXPECT_EQ(parsed({"-bp"}).mode, Mode::list_queue);
  EXPECT_EQ(parsed({"-bs"}).mode, Mode::smtp);
  EXPECT_EQ(parsed({"-bi"}).mode, Mode::new_aliases);
  EXPECT_EQ(parsed({"-bm", "x"}).mode, Mode::deliver);
  EXPECT_EQ(parsed({"-q"}).mode, Mode::flush_queue);
}

TEST(SendmailArguments, WhatIsRefusedIsRefusedWithWords) {
  EXPECT_THAT(parse_arguments("sendmail", {"-bd"}).error().message, HasSubstr("no server"));
  EXPECT_THAT(parse_arguments("sendmail", {"-bv", "x"}).error().message, HasSubstr("-bv"));
  EXPECT_THAT(parse_arguments("sendmail", {"-f"}).error().message, HasSubstr("needs a value"));
  EXPECT_THAT(parse_arguments("sendmail", {"-N", "often"}).error().message, HasSubstr("-N"));
  EXPECT_THAT(parse_arguments("sendmail", {"-Z"}).error().message, HasSubstr("-Z"));
}

TEST(SendmailHeader, RecipientsAreReadAndBccIsTakenOut) {
  HeaderOfT read = read_recipients(
      "From: a@example.org\nTo: Bob <b@example.org>,\n c@example.org\nBcc: d@example.org,\n e@example.org\nCC: "
      "root\nSubject: x\n\n");
  EXPECT_THAT(read.recipients, ElementsAre("b@example.org", "c@example.org", "d@example.org", "e@example.org", "root"));
  EXPECT_EQ(read.header, "From: a@example.org\nTo: Bob <b@example.org>,\n c@example.org\nCC: root\nSubject: x\n\n");
}

class SendTest : public testing::Test {
 protected:
  SendTest() {
    std::string name = testing::TempDir() + "postrider-sendmail-XXXXXX";
    settings_.folder = ::mkdtemp(name.data());
    settings_.hostname = "mail.example.org";
    settings_.max_message_size = 100'000;
  }
  ~SendTest() override { std::filesystem::remove_all(settings_.folder); }

  int call(std::vector<std::string> arguments, std::string input) {
    std::FILE* file = input.empty() ? std::fopen("/dev/null", "r") : ::fmemopen(input.data(), input.size(), "r");
    int status = send(parsed(std::move(arguments)), settings_, file);
    std::fclose(file);
    return status;
  }
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.folder)) names.push_back(entry.path());
    return names;
  }
  std::string only_file() {
    auto names = files();
    EXPECT_THAT(names, SizeIs(1));
    std::ostringstream text;
    if (!names.empty()) text << std::ifstream(names[0]).rdbuf();
    return text.str();
  }

  Settings settings_;
};

TEST_F(SendTest, LeavesTheWholeMessageUnderTheUsersName) {
  EXPECT_EQ(call({"-i", "bob@example.net", "root"}, "Subject: x\n\nhello\n.\nmore\n"), EX_OK);
  std::string text = only_file();
  auto head = parse_drop_envelope(text);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_THAT(head->envelope.recipients, ElementsAre("bob@example.net", "root"));
  EXPECT_EQ(head->envelope.sender, std::nullopt);
  EXPECT_EQ(text.substr(head->size), "Subject: x\n\nhello\n.\nmore\n");
  EXPECT_THAT(std::filesystem::path(files()[0]).filename().string(), StartsWith(std::to_string(::getuid()) + "."));
}

TEST_F(SendTest, ADotEndsTheMessageUnlessTold) {
  EXPECT_EQ(call({"root"}, "hello\n.\nmore\n"), EX_OK);
  EXPECT_THAT(only_file(), Not(HasSubstr("more")));
}

TEST_F(SendTest, RecipientsOfTheHeader) {
  EXPECT_EQ(call({"-t", "carol"}, "To: bob@example.net\nBcc: dave@example.net\n\nhello\n"), EX_OK);
  std::string text = only_file();
  EXPECT_THAT(parse_drop_envelope(text)->envelope.recipients,
              ElementsAre("carol", "bob@example.net", "dave@example.net"));
  EXPECT_THAT(text, Not(HasSubstr("Bcc")));
  EXPECT_THAT(text, HasSubstr("\nTo: bob@example.net\n\nhello\n"));
}

TEST_F(SendTest, AHeaderWithoutABodyIsAMessage) {
  EXPECT_EQ(call({"-t"}, "To: bob@example.net\nSubject: nothing else"), EX_OK);
  EXPECT_THAT(only_file(), HasSubstr("Subject: nothing else"));
}

TEST_F(SendTest, NothingIsLeftOfWhatIsRefused) {
  EXPECT_EQ(call({}, "hello\n"), EX_USAGE);
  EXPECT_EQ(call({"-t"}, "Subject: to nobody\n\nhello\n"), EX_DATAERR);
  EXPECT_EQ(call({"root"}, std::string(200'000, 'x')), EX_DATAERR);
  EXPECT_THAT(files(), IsEmpty());
  settings_.folder += "/missing";
  EXPECT_EQ(call({"root"}, "hello\n"), EX_TEMPFAIL);
  settings_.folder = std::filesystem::path(settings_.folder).parent_path();
}

TEST_F(SendTest, AUserHasALimit) {
  for (int i = 0; i < kMaxWaitingDrops; ++i) {
    std::ofstream(settings_.folder + "/" + std::to_string(::getuid()) + "." + std::to_string(i)) << "x";
  }
  EXPECT_EQ(call({"root"}, "hello\n"), EX_TEMPFAIL);
  EXPECT_THAT(files(), SizeIs(kMaxWaitingDrops));
  std::filesystem::remove(settings_.folder + "/" + std::to_string(::getuid()) + ".77");
  EXPECT_EQ(call({"root"}, "hello\n"), EX_OK);
}

class SpeakSmtpTest : public SendTest {
 protected:
  std::string talk(std::string input) {
    std::FILE* in = ::fmemopen(input.data(), input.size(), "r");
    char* text = nullptr;
    size_t size = 0;
    std::FILE* out = ::open_memstream(&text, &size);
    EXPECT_EQ(speak_smtp(Arguments(), settings_, in, out), EX_OK);
    std::fclose(in);
    std::fclose(out);
    std::string said(text, size);
    std::free(text);
    return said;
  }
};

TEST_F(SpeakSmtpTest, TakesAMessage) {
  std::string said = talk(
      "EHLO localhost\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: "
      "x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
  EXPECT_THAT(said, StartsWith("220 mail.example.org ESMTP\r\n250-mail.example.org\r\n"));
  EXPECT_THAT(said, HasSubstr("\r\n354 "));
  EXPECT_THAT(said, HasSubstr("\r\n250 2.0.0 left for delivery\r\n221 "));
  std::string text = only_file();
  auto head = parse_drop_envelope(text);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->envelope.sender, "a@example.org");
  EXPECT_EQ(text.substr(head->size), "Subject: x\r\n\r\n.dot\r\n");
}

TEST_F(SpeakSmtpTest, AMessageWithoutItsEndIsNone) {
  std::string said = talk("HELO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: x\r\n");
  EXPECT_THAT(files(), IsEmpty());
  EXPECT_THAT(said, Not(HasSubstr("left")));
}

TEST_F(SpeakSmtpTest, CommandsOutOfTurnAreRefused) {
  std::string said = talk("RCPT TO:<b@example.net>\r\nDATA\r\nFOO\r\nMAIL FROM:<a@example.org>\r\nDATA\r\n");
  EXPECT_THAT(said, HasSubstr("\r\n503 "));
  EXPECT_THAT(said, HasSubstr("\r\n502 "));
  EXPECT_THAT(said, Not(HasSubstr("354")));
}

}  // namespace
}  // namespace postrider::sendmail
