#include "common/http/http.h"

#include <gtest/gtest.h>

namespace postrider::http {
namespace {

constexpr size_t kMax = 100;

TEST(Http, ARequestIsReadWhenItIsWhole) {
  const std::string text = "GET /.well-known/mta-sts.txt?x HTTP/1.1\r\nhost: MTA-STS.Example.org.:8443\r\nA: b\r\n\r\n";
  for (size_t i = 0; i < text.size(); ++i) {
    auto part = parse_request(std::string_view(text).substr(0, i));
    ASSERT_TRUE(part) << i;
    EXPECT_FALSE(*part) << i;
  }
  const auto request = **parse_request(text);
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.path, "/.well-known/mta-sts.txt");
  EXPECT_EQ(request.host, "mta-sts.example.org");
}

TEST(Http, RequestsThatAreNone) {
  for (const char* text : {"\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2\r\n\r\n", "EHLO x y z\r\n\r\n"})
    EXPECT_FALSE(parse_request(text)) << text;
  EXPECT_FALSE(parse_request(std::string(kMaxHead, 'x')));
}

TEST(Http, ABodyHasTheLengthThatIsSaid) {
  const std::string text = format_response(200, "OK", "text/plain; charset=utf-8", "version: STSv1\n");
  for (size_t i = 0; i < text.size(); ++i) {
    const auto part = std::string_view(text).substr(0, i);
    ASSERT_TRUE(parse_response(part, false, kMax));
    EXPECT_FALSE(*parse_response(part, false, kMax));
    EXPECT_FALSE(parse_response(part, true, kMax)) << "cut off";
  }
  const auto response = **parse_response(text + "more", false, kMax);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.type, "text/plain");
  EXPECT_EQ(response.body, "version: STSv1\n");
}

TEST(Http, ABodyWithoutLengthEndsWithTheConnection) {
  const std::string text = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello";
  EXPECT_FALSE(*parse_response(text, false, kMax));
  EXPECT_EQ((*parse_response(text, true, kMax))->body, "hello");
  EXPECT_FALSE(parse_response(text + std::string(kMax, 'x'), false, kMax));
}

TEST(Http, ChunksArePutTogether) {
  const std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
  EXPECT_EQ((*parse_response(text, false, kMax))->body, "hello!");
  EXPECT_FALSE(parse_response(text, false, 5)) << "too long";
  EXPECT_FALSE(*parse_response(text.substr(0, text.size() - 6), false, kMax));
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* wrong : {"x\r\n", "\r\n", "5\r\nhelloX\r\n", "ffffffffffffffff\r\n", "fffffffffffffffff\r\n"})
    EXPECT_FALSE(parse_response(head + wrong, false, kMax)) << wrong;
  EXPECT_FALSE(parse_response(head + std::string(kMaxChunkLine, '0'), false, kMax));
}

TEST(Http, OtherAnswersHaveNoBody) {
  const auto moved =
      **parse_response("HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 9\r\n\r\n", false, 9);
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.body, "");
}

TEST(Http, AnswersThatAreNone) {
  for (const char* text :
       {"220 mx ESMTP\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"})
    EXPECT_FALSE(parse_response(text, false, kMax)) << text;
}

}  // namespace
}  // namespace postrider::http
