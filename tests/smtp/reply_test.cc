#include "common/smtp/reply.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/smtp/extensions.h"

namespace postrider::smtp {
namespace {

TEST(Reply, IsOneLineWithItsStatusCode) {
  EXPECT_EQ(format_reply(Reply(250, status::kOk, "OK")), "250 2.0.0 OK\r\n");
  EXPECT_EQ(format_reply(Reply(354, status::kNone, "go on")), "354 go on\r\n");
}

TEST(Reply, RepeatsCodeAndStatusOnEveryLine) {
  EXPECT_EQ(format_reply(Reply(550, status::kNotAuthorized, "one\ntwo")), "550-5.7.1 one\r\n550 5.7.1 two\r\n");
}

TEST(Reply, LetsNothingOutThatEndsALine) {
  EXPECT_EQ(format_reply(Reply(501, status::kSyntax,
                               "a\rb\x7f"
                               "c\td")),
            "501 5.5.2 a?b?c?d\r\n");
}

TEST(Reply, CutsALineAt512Octets) {
  const auto text = format_reply(Reply(250, status::kOk, std::string(1'000, 'x')));
  EXPECT_EQ(text.size(), 512u);
  EXPECT_TRUE(text.ends_with("x\r\n"));
}

TEST(Reply, EndsAfterAHundredLines) {
  const auto text = format_reply(Reply(550, status::kOk, std::string(1'000, '\n')));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100);
  EXPECT_TRUE(text.ends_with("\r\n550 2.0.0 \r\n")) << text;
}

ServerReply parse(std::string_view text) {
  ReplyParser parser;
  EXPECT_EQ(parser.feed(text), text.size());
  EXPECT_EQ(parser.state(), ReplyParser::State::complete) << text;
  auto whole = parser.take();
  for (size_t cut = 0; cut < text.size(); ++cut) {
    parser.feed(text.substr(0, cut));
    EXPECT_EQ(parser.state(), ReplyParser::State::incomplete);
    parser.feed(text.substr(cut));
    EXPECT_EQ(parser.state(), ReplyParser::State::complete);
    EXPECT_EQ(parser.take().lines, whole.lines) << "split at " << cut;
  }
  return whole;
}

TEST(ReplyParser, ReadsOneLine) {
  const auto reply = parse("250 2.1.0 fine\r\n");
  EXPECT_EQ(reply.code, 250);
  EXPECT_EQ(reply.status, "2.1.0");
  EXPECT_EQ(reply.lines, std::vector<std::string>{"fine"});
  EXPECT_EQ(reply.to_string(), "250 2.1.0 fine");
}

TEST(ReplyParser, ReadsSeveralLines) {
  const auto reply = parse("550-5.7.1 not\r\n550 5.7.1 here\r\n");
  EXPECT_EQ(reply.code, 550);
  EXPECT_EQ(reply.status, "5.7.1");
  EXPECT_EQ(reply.to_string(), "550 5.7.1 not here");
}

TEST(ReplyParser, TextMayBeMissing) {
  EXPECT_EQ(parse("250\r\n").code, 250);
  EXPECT_EQ(parse("250 \r\n").lines.front(), "");
  EXPECT_EQ(parse("250 2.0.0\r\n").status, "2.0.0");
}

TEST(ReplyParser, AStatusOfAnotherClassIsText) {
  const auto reply = parse("250 5.1.1 x\r\n");
  EXPECT_EQ(reply.status, "");
  EXPECT_EQ(reply.lines.front(), "5.1.1 x");
  EXPECT_EQ(parse("220 2.example.org ready\r\n").status, "");
  EXPECT_EQ(parse("220 2.0.0000 ready\r\n").status, "");
}

TEST(ReplyParser, TakesBareLf) {
  EXPECT_EQ(parse("250 a\n").lines.front(), "a");
}

TEST(ReplyParser, ControlCharactersGoIntoNoLog) {
  ReplyParser parser;
  parser.feed(std::string_view("550-5.1.1 a\rb\tc\r\n550 \x1b[31m\0\r\n", 29));
  ASSERT_EQ(parser.state(), ReplyParser::State::complete);
  EXPECT_EQ(parser.take().to_string(), "550 5.1.1 a?b c ?[31m?");
}

TEST(ReplyParser, LeavesTheNextReplyAlone) {
  ReplyParser parser;
  const std::string_view two = "250 a\r\n354 b\r\n";
  EXPECT_EQ(parser.feed(two), 7u);
  EXPECT_EQ(parser.take().code, 250);
  EXPECT_EQ(parser.feed(two.substr(7)), 7u);
  EXPECT_EQ(parser.take().code, 354);
}

TEST(ReplyParser, KnowsNonsense) {
  for (std::string_view text : {"\r\n", "hello\r\n", "25\r\n", "2500 x\r\n", "250x\r\n", "150 x\r\n", "650 x\r\n",
                                "-50 x\r\n", "250-a\r\n550 b\r\n"}) {
    ReplyParser parser;
    parser.feed(text);
    EXPECT_EQ(parser.state(), ReplyParser::State::malformed) << text;
  }
}

TEST(ReplyParser, IsBounded) {
  ReplyParser endless_line;
  endless_line.feed(std::string(ReplyParser::kMaxLine + 1, '2'));
  EXPECT_EQ(endless_line.state(), ReplyParser::State::malformed);
  ReplyParser endless_reply;
  for (size_t n = 0; n <= ReplyParser::kMaxLines; ++n) endless_reply.feed("250-x\r\n");
  EXPECT_EQ(endless_reply.state(), ReplyParser::State::malformed);
}

TEST(Extensions, AreWrittenAndReadBack) {
  Extensions offered;
  offered.add("PIPELINING");
  offered.add("SIZE", "1000");
  offered.add("AUTH", "SCRAM-SHA-256 PLAIN");
  Limits limits;
  limits.mail_max = 10;
  limits.rcpt_max = 100;
  offered.add("LIMITS", format_limits(limits));
  const auto text = format_reply(ehlo_reply("mx.example.test hello", offered));
  EXPECT_EQ(text,
            "250-mx.example.test hello\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-AUTH SCRAM-SHA-256 PLAIN\r\n"
            "250 LIMITS MAILMAX=10 RCPTMAX=100\r\n");
  const auto read = parse_extensions(parse(text));
  EXPECT_TRUE(read.has("pipelining"));
  EXPECT_FALSE(read.has("STARTTLS"));
  EXPECT_EQ(read.size_limit(), 1000u);
  EXPECT_TRUE(read.has_parameter("AUTH", "plain"));
  EXPECT_FALSE(read.has_parameter("AUTH", "LOGIN"));
  EXPECT_EQ(read.limits().mail_max, 10u);
  EXPECT_EQ(read.limits().rcpt_max, 100u);
  EXPECT_FALSE(read.limits().rcpt_domain_max);
}

TEST(Extensions, NonsenseIsSteppedOver) {
  const auto read =
      parse_extensions(parse("250-x\r\n250-\r\n250-*odd*\r\n250-SIZE many\r\n250-LIMITS RCPTMAX=0 MAILMAX x "
                             "RCPTDOMAINMAX=5\r\n250 AUTH=PLAIN\r\n"));
  EXPECT_EQ(read.size_limit(), 0u);
  EXPECT_FALSE(read.limits().rcpt_max);
  EXPECT_EQ(read.limits().rcpt_domain_max, 5u);
  EXPECT_TRUE(read.has_parameter("AUTH", "PLAIN"));
  EXPECT_EQ(read.all().size(), 3u);
}

}  // namespace
}  // namespace postrider::smtp
