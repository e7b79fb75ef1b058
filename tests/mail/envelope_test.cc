// ENVELOPE and the address lists in it (RFC 3501 7.4.2, RFC 5322 3.4 and 4.4).
#include "common/mail/envelope.h"

#include <gtest/gtest.h>

#include "common/mail/address_list.h"
#include "tests/mail/mime_test_support.h"

namespace postrider {
namespace {

/// The To list of an ENVELOPE.
std::string to_list(const std::string& value) {
  std::string envelope = make_envelope("To: " + value + "\r\n\r\n");
  std::string_view begin = "(NIL NIL NIL NIL NIL ", end = " NIL NIL NIL NIL)";
  EXPECT_TRUE(envelope.starts_with(begin) && envelope.ends_with(end)) << envelope;
  return envelope.substr(begin.size(), envelope.size() - begin.size() - end.size());
}

TEST(Envelope, HasItsFieldsInOrder) {
  EXPECT_EQ(make_envelope(
                crlf("Message-ID: <m@x>\nIn-Reply-To: <r@x>\nBcc: b@x\nCc: c@x\nTo: t@x\nReply-To: rt@x\nSender: s@x\n"
                     "From: f@x\nSubject: sub\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\n")),
            R"(("Mon, 1 Jan 2024 00:00:00 +0000" "sub" ((NIL NIL "f" "x")) ((NIL NIL "s" "x")) ((NIL NIL "rt" "x")) )"
            R"(((NIL NIL "t" "x")) ((NIL NIL "c" "x")) ((NIL NIL "b" "x")) "<r@x>" "<m@x>"))");
}

TEST(Envelope, SenderAndReplyToAreFromWhereTheyAreMissingOrEmpty) {
  EXPECT_EQ(make_envelope("From: f@x\r\nReply-To: \r\n\r\n"),
            R"((NIL NIL ((NIL NIL "f" "x")) ((NIL NIL "f" "x")) ((NIL NIL "f" "x")) NIL NIL NIL NIL NIL))");
}

TEST(Envelope, EmptyHeaderIsAllNil) {
  EXPECT_EQ(make_envelope(""), kEmptyEnvelope);
}

TEST(Envelope, EmptySubjectIsAnEmptyString) {
  EXPECT_EQ(make_envelope("Subject:\r\n\r\n"), R"((NIL "" NIL NIL NIL NIL NIL NIL NIL NIL))");
}

TEST(Envelope, FoldedSubjectIsOneLineAndEncodedWordsStay) {
  EXPECT_EQ(make_envelope("Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?= \"x\"\r\n\r\n"),
            R"((NIL "=?utf-8?q?a?= =?utf-8?q?b?= \"x\"" NIL NIL NIL NIL NIL NIL NIL NIL))");
}

TEST(Envelope, EightBitTextIsALiteral) {
  EXPECT_EQ(make_envelope("Subject: \xc3\xa9\r\n\r\n"), "(NIL {2}\r\n\xc3\xa9 NIL NIL NIL NIL NIL NIL NIL NIL)");
}

TEST(Envelope, LineEndsAloneCannotBreakOutOfAString) {
  std::string envelope = make_envelope(std::string("Subject: a\rb\0c\r\n\r\n", 19));
  EXPECT_EQ(envelope, R"((NIL "a b c" NIL NIL NIL NIL NIL NIL NIL NIL))");
}

TEST(Envelope, SecondSubjectIsIgnoredAndSecondToIsAdded) {
  EXPECT_EQ(make_envelope("Subject: 1\r\nSubject: 2\r\nTo: a@x\r\nTo: b@x\r\n\r\n"),
            R"((NIL "1" NIL NIL NIL ((NIL NIL "a" "x")(NIL NIL "b" "x")) NIL NIL NIL NIL))");
}

TEST(AddressList, CommonForms) {
  EXPECT_EQ(to_list("a@b"), R"(((NIL NIL "a" "b")))");
  EXPECT_EQ(to_list("<a@b>"), R"(((NIL NIL "a" "b")))");
  EXPECT_EQ(to_list("John Doe <a@b>"), R"((("John Doe" NIL "a" "b")))");
  EXPECT_EQ(to_list("\"Doe, \\\"J\\\"\" <a@b>, c@d"), R"((("Doe, \"J\"" NIL "a" "b")(NIL NIL "c" "d")))");
  EXPECT_EQ(to_list("a@b (John Doe)"), R"((("John Doe" NIL "a" "b")))");
  EXPECT_EQ(to_list("=?utf-8?q?J?= <a@b>"), R"((("=?utf-8?q?J?=" NIL "a" "b")))");
  EXPECT_EQ(to_list("\"john doe\"@b"), R"(((NIL NIL "john doe" "b")))");
  EXPECT_EQ(to_list("a@[192.0.2.1]"), R"(((NIL NIL "a" "[192.0.2.1]")))");
}

TEST(AddressList, ObsoleteForms) {
  EXPECT_EQ(to_list("John Q. Public <@h1,@h2:a@b>"), R"((("John Q. Public" "@h1,@h2" "a" "b")))");
  EXPECT_EQ(to_list("a . b @ c . d"), R"(((NIL NIL "a.b" "c.d")))");
  EXPECT_EQ(to_list(",, a@b ,, c@d ,"), R"(((NIL NIL "a" "b")(NIL NIL "c" "d")))");
  EXPECT_EQ(to_list("a(x)@(y)b(z (nested)) "), R"x((("z (nested)" NIL "a" "b")))x");
}

TEST(AddressList, Groups) {
  EXPECT_EQ(to_list("Friends: a@b, C <c@d>;, e@f"),
            R"(((NIL NIL "Friends" NIL)(NIL NIL "a" "b")("C" NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "e" "f")))");
  EXPECT_EQ(to_list("undisclosed-recipients:;"), R"(((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)))");
  EXPECT_EQ(to_list("open: a@b"), R"(((NIL NIL "open" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)))");
  EXPECT_EQ(to_list("one: two: a@b;"),
            R"(((NIL NIL "one" NIL)(NIL NIL NIL NIL)(NIL NIL "two" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)))");
}

TEST(AddressList, AddressAsDisplayNameIsNotTheAddress) {
  EXPECT_EQ(to_list("a@b <c@d>"), R"((("a@b" NIL "c" "d")))");
  EXPECT_EQ(to_list("\"a@b\" <c@d>"), R"((("a@b" NIL "c" "d")))");
}

TEST(AddressList, BrokenForms) {
  EXPECT_EQ(to_list(""), "NIL");
  EXPECT_EQ(to_list(" , ;,)>"), "NIL");
  EXPECT_EQ(to_list("(only a comment"), "NIL");
  EXPECT_EQ(to_list("undisclosed recipients"), R"(((NIL NIL "undisclosed recipients" "")))");
  EXPECT_EQ(to_list("MAILER-DAEMON <>"), R"((("MAILER-DAEMON" NIL "" "")))");
  EXPECT_EQ(to_list("a@b c@d"), R"(((NIL NIL "a" "b")(NIL NIL "c" "d")))");
  EXPECT_EQ(to_list("<a@b"), R"(((NIL NIL "a" "b")))");
  EXPECT_EQ(to_list("<a@b, c@d"), R"(((NIL NIL "a" "b")(NIL NIL "c" "d")))");
  EXPECT_EQ(to_list("\"no end <a@b>"), R"(((NIL NIL "no end <a@b>" "")))");
  EXPECT_EQ(to_list("a@b@c"), R"(((NIL NIL "a@b" "c")))");
  EXPECT_EQ(to_list("@b"), R"(((NIL NIL "" "b")))");
  EXPECT_EQ(to_list("a\\"), R"(((NIL NIL "a\\" "")))");
}

TEST(AddressList, HasALimit) {
  std::string value;
  for (int i = 0; i < 100'000; ++i) value += "a@b,";
  EXPECT_EQ(parse_address_list(value).size(), kMaxListedAddresses);
  EXPECT_EQ(parse_address_list(value, 3).size(), 3U);
}

TEST(AddressList, HostileTextEnds) {
  for (std::string_view unit :
       {"(", "<", "\"", "\\", "@", ":", ";", "[", "a ", "a@", "<a@b", "\"x\" ", "(x)", "a:b;"}) {
    std::string value;
    while (value.size() < 300'000) value += unit;
    parse_address_list(value);
  }
}

}  // namespace
}  // namespace postrider
