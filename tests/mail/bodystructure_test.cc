// BODYSTRUCTURE and BODY as clients read them (RFC 3501 7.4.2).
#include <gtest/gtest.h>

#include "tests/mail/mime_test_support.h"

namespace postrider {
namespace {

std::string structure(std::string_view message) {
  return summarize(crlf(message)).bodystructure;
}

TEST(Bodystructure, TextWithAllItsFields) {
  EXPECT_EQ(
      structure(
          "Content-Type: Text/Plain; CharSet=\"utf-8\"; format=flowed\nContent-Transfer-Encoding: Quoted-Printable\n"
          "Content-ID: <id@x>\nContent-Description: a \"quoted\" \\ text\nContent-MD5: Q2hlY2s=\n"
          "Content-Disposition: attachment; filename=\"a b.txt\"; size=12\nContent-Language: de, en\n"
          "Content-Location: http://x/\n\nhello\n"),
      R"(("text" "plain" ("CharSet" "utf-8" "format" "flowed") "<id@x>" "a \"quoted\" \\ text" "quoted-printable" 7 1 )"
      R"("Q2hlY2s=" ("attachment" ("filename" "a b.txt" "size" "12")) ("de" "en") "http://x/"))");
}

TEST(Bodystructure, OneLanguageIsAString) {
  EXPECT_EQ(structure("Content-Type: image/png\nContent-Language: de\n\n"),
            R"(("image" "png" NIL NIL NIL "7bit" 0 NIL NIL "de" NIL))");
}

TEST(Bodystructure, MultipartWithExtensionData) {
  EXPECT_EQ(
      structure("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: image/gif\n"
                "Content-Transfer-Encoding: base64\nContent-Disposition: inline\n\nR0lG\n--b--\n"),
      R"((("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 1 0 NIL NIL NIL NIL))"
      R"(("image" "gif" NIL NIL NIL "base64" 4 NIL ("inline" NIL) NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL))");
}

TEST(Bodystructure, MessageHasEnvelopeBodyAndLines) {
  EXPECT_EQ(structure("Content-Type: message/rfc822\n\nSubject: in\nFrom: a@b\n\nhi\nthere\n"),
            R"(("message" "rfc822" NIL NIL NIL "7bit" 37 (NIL "in" ((NIL NIL "a" "b")) )"
            R"(((NIL NIL "a" "b")) ((NIL NIL "a" "b")) )"
            R"(NIL NIL NIL NIL NIL) ("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 11 2 )"
            R"(NIL NIL NIL NIL) 5 NIL NIL NIL NIL))");
}

TEST(Bodystructure, UnparseableTypeIsTextInAscii) {
  for (const char* type :
       {"", "text", "text/", "/plain", "\"text/plain\"", ";charset=x", "t\xc3\xa9xt/plain", "(comment", "a b/c"}) {
    EXPECT_EQ(structure("Content-Type: " + std::string(type) + "\n\n"),
              R"(("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 0 0 NIL NIL NIL NIL))")
        << type;
  }
}

TEST(Bodystructure, ParametersInOddForms) {
  auto parameters = [](const std::string& text) {
    std::string value = structure("Content-Type: application/x" + text + "\n\n");
    std::string_view begin = R"(("application" "x" )", end = R"( NIL NIL "7bit" 0 NIL NIL NIL NIL))";
    EXPECT_TRUE(value.starts_with(begin) && value.ends_with(end)) << value;
    return value.substr(begin.size(), value.size() - begin.size() - end.size());
  };
  EXPECT_EQ(parameters("; a=b"), R"(("a" "b"))");
  EXPECT_EQ(parameters(" (comment) ; a = (x) b (y) ; c=d;;"), R"(("a" "b" "c" "d"))");
  EXPECT_EQ(parameters(";\n\ta=\"x;y\\\"z\""), R"(("a" "x;y\"z"))");
  EXPECT_EQ(parameters("; a=b=c/d:e"), R"(("a" "b=c/d:e"))");
  EXPECT_EQ(parameters("; a=\"no end"), R"(("a" "no end"))");
  EXPECT_EQ(parameters("; a; =b; c"), "NIL");
  EXPECT_EQ(parameters("; a=\"\""), R"(("a" ""))");
  EXPECT_EQ(parameters("; name*0*=utf-8''%C3; name*1*=%A9"), R"(("name*0*" "utf-8''%C3" "name*1*" "%A9"))");
  EXPECT_EQ(parameters("; a=\"\xc3\xa9\""), "(\"a\" {2}\r\n\xc3\xa9)");
  EXPECT_EQ(parameters("; a=\"x\" junk; b=\"y\";"), R"(("a" "x" "b" "y"))");
}

TEST(Bodystructure, NulIsDroppedFromStrings) {
  std::string message("Content-Type: a/b\r\nContent-ID: x\0y\r\n\r\n", 38);
  EXPECT_EQ(summarize(message).bodystructure, R"(("a" "b" NIL "x y" NIL "7bit" 0 NIL NIL NIL NIL))");
}

TEST(Bodystructure, TypeThatIsTooLongIsNone) {
  std::string long_type(200, 'x');
  EXPECT_EQ(structure("Content-Type: " + long_type + "/y\n\n"),
            R"(("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 0 0 NIL NIL NIL NIL))");
}

TEST(Body, IsTheStructureWithoutExtensionData) {
  EXPECT_EQ(
      body_from_bodystructure(structure("Content-Type: text/html; a=b\nContent-Disposition: inline; x=\"(\"\n\nx\n")),
      R"(("text" "html" ("a" "b") NIL NIL "7bit" 3 1))");
  EXPECT_EQ(
      body_from_bodystructure(structure("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: "
                                        "image/gif; name=\")(\\\"\"\n\nR0lG\n--b--\n")),
      R"((("text" "plain" ("CHARSET" "US-ASCII") NIL NIL "7bit" 1 0))"
      R"(("image" "gif" ("name" ")(\"") NIL NIL "7bit" 4) "mixed"))");
}

TEST(Body, MessageKeepsItsEnvelopeBodyAndLines) {
  EXPECT_EQ(body_from_bodystructure(
                structure("Content-Type: message/rfc822\n\nSubject: in\nContent-Type: text/plain\n\nhi\n")),
            R"(("message" "rfc822" NIL NIL NIL "7bit" 45 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) )"
            R"(("text" "plain" NIL NIL NIL "7bit" 4 1) 4))");
}

TEST(Body, LiteralsMayHoldAnything) {
  std::string message = "Content-Type: a/b; n=\"\xc3\xa9)(\"\r\nContent-Language: x\xff(\r\n\r\n";
  EXPECT_EQ(body_from_bodystructure(summarize(message).bodystructure),
            "(\"a\" \"b\" (\"n\" {4}\r\n\xc3\xa9)() NIL NIL \"7bit\" 0)");
}

TEST(Body, WhatIsNoStructureComesBackAsItIs) {
  for (const char* text : {"", "(", "()", "(\"text\"", "(\"a\" \"b\" {99}\r\nx)", "NIL", "(((((",
                           "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0)"}) {
    EXPECT_EQ(body_from_bodystructure(text), text);
  }
  std::string deep(100'000, '(');
  EXPECT_EQ(body_from_bodystructure(deep), deep);
}

}  // namespace
}  // namespace postrider
