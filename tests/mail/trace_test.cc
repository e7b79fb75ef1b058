#include "common/mail/trace.h"

#include <gtest/gtest.h>

#include "common/mail/header.h"

namespace postrider {
namespace {

ReceivedTrace example() {
  ReceivedTrace trace;
  trace.helo = "client.example";
  trace.client_name = "host.client.example";
  trace.client_address = "192.0.2.7";
  trace.by = "mx.example.org";
  trace.protocol.tls = true;
  trace.tls_version = "TLSv1.3";
  trace.tls_cipher = "TLS_AES_256_GCM_SHA384";
  trace.id = "4f2a";
  trace.recipient = Address{"user", "example.org"};
  trace.time = 0;
  return trace;
}

TEST(Received, HasItsClausesInOrderAndIsFolded) {
  EXPECT_EQ(format_received(example()),
            "Received: from client.example (host.client.example [192.0.2.7])\r\n"
            "\tby mx.example.org with ESMTPS (TLSv1.3 cipher TLS_AES_256_GCM_SHA384)\r\n"
            "\tid 4f2a for <user@example.org>; Thu, 1 Jan 1970 00:00:00 +0000\r\n");
}

TEST(Received, LeavesOutWhatIsNotKnown) {
  ReceivedTrace trace;
  trace.helo = "x";
  trace.client_address = "2001:db8::1";
  trace.by = "mx";
  EXPECT_EQ(format_received(trace),
            "Received: from x (unknown [IPv6:2001:db8::1]) by mx with ESMTP;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
}

TEST(Received, MessageFromNoNetworkHasNoFrom) {
  ReceivedTrace trace;
  trace.by = "mx";
  trace.protocol.extended = false;
  EXPECT_EQ(format_received(trace), "Received: by mx with SMTP; Thu, 1 Jan 1970 00:00:00 +0000\r\n");
}

TEST(Received, NothingCanBreakOutOfItsLine) {
  using namespace std::string_literals;
  std::string evil = "x\r\nSubject: injected\r\n\r\nbody\0 (;<>\""s;
  ReceivedTrace trace = example();
  trace.helo = trace.client_name = trace.client_address = trace.by = trace.tls_version = trace.tls_cipher = trace.id =
      evil;
  trace.recipient = Address{evil, evil};
  std::string field = format_received(trace);
  HeaderReader reader(field);
  EXPECT_EQ(reader.next()->raw, field);
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(field.find('\0'), std::string::npos);
  EXPECT_EQ(field.find("\r\nSubject"), std::string::npos);
}

TEST(Received, LongArgumentsAreCutAndLinesKeepToTheirLength) {
  ReceivedTrace trace = example();
  trace.helo = std::string(100'000, 'h');
  EXPECT_LT(format_received(trace).size(), 1'000U);
  std::string field = format_received(example());
  size_t begin = 0;
  for (size_t end; (end = field.find("\r\n", begin)) != std::string::npos; begin = end + 2) EXPECT_LE(end - begin, 78U);
}

TEST(Received, InvalidUtf8IsReplaced) {
  ReceivedTrace trace = example();
  trace.helo = "a\xff\xc3\xa9";
  EXPECT_NE(format_received(trace).find("from a?\xc3\xa9 "), std::string::npos);
}

TEST(TraceProtocol, NamesOfRfc3848AndRfc6531) {
  auto name = [](bool extended, bool tls, bool auth, bool utf8, bool lmtp) {
    return TraceProtocol{extended, tls, auth, utf8, lmtp}.name();
  };
  EXPECT_EQ(name(false, false, false, false, false), "SMTP");
  EXPECT_EQ(name(true, false, false, false, false), "ESMTP");
  EXPECT_EQ(name(true, true, false, false, false), "ESMTPS");
  EXPECT_EQ(name(true, false, true, false, false), "ESMTPA");
  EXPECT_EQ(name(true, true, true, false, false), "ESMTPSA");
  EXPECT_EQ(name(true, false, false, true, false), "UTF8SMTP");
  EXPECT_EQ(name(true, true, true, true, false), "UTF8SMTPSA");
  EXPECT_EQ(name(true, false, false, false, true), "LMTP");
  EXPECT_EQ(name(true, true, true, true, true), "UTF8LMTPSA");
}

TEST(ReturnPath, IsTheReversePath) {
  EXPECT_EQ(format_return_path(std::nullopt), "Return-Path: <>\r\n");
  EXPECT_EQ(format_return_path(Address{"a b", "c"}), "Return-Path: <\"a b\"@c>\r\n");
  EXPECT_EQ(format_return_path(Address{"a\r\nX: y", "c\r\nd"}), "Return-Path: <\"aX: y\"@c??d>\r\n");
}

TEST(DeliveredTo, IsTheRecipient) {
  EXPECT_EQ(format_delivered_to(Address{"a", "b"}), "Delivered-To: a@b\r\n");
}

}  // namespace
}  // namespace postrider
