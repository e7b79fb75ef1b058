#include "common/net/proxy_header.h"

#include <gtest/gtest.h>

namespace postrider::net {
namespace {

using namespace std::string_literals;
using Status = ProxyHeader::Status;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string version2(char command, char family, const std::string& data) {
  return kSignature + command + family + static_cast<char>(data.size() >> 8) + static_cast<char>(data.size() & 0xff) +
         data;
}

TEST(ProxyHeader, Version1) {
  const std::string line = "PROXY TCP4 192.0.2.7 192.0.2.1 51000 25\r\n";
  for (size_t size = 0; size < line.size(); ++size)
    EXPECT_EQ(read_proxy_header(std::string_view(line).substr(0, size)).status, Status::incomplete) << size;
  const auto header = read_proxy_header(line + "EHLO x\r\n");
  ASSERT_EQ(header.status, Status::complete);
  EXPECT_EQ(header.taken, line.size());
  EXPECT_EQ(header.source, "192.0.2.7");
  EXPECT_EQ(header.source_port, 51'000);
  EXPECT_EQ(header.destination, "192.0.2.1");
  EXPECT_EQ(read_proxy_header("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n").source, "2001:db8::7");
  EXPECT_EQ(read_proxy_header("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n").source, "192.0.2.7");
  EXPECT_EQ(read_proxy_header("PROXY UNKNOWN\r\n").status, Status::complete);
  EXPECT_EQ(read_proxy_header("PROXY UNKNOWN ffff:f 1 2 3\r\n").source, "");
}

TEST(ProxyHeader, Version2) {
  const std::string data = "\xC0\0\2\7\xC0\0\2\1\xC7\x38\0\x19"s;
  const std::string whole = version2('\x21', '\x11', data + "\x04\0\1x"s);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(read_proxy_header(std::string_view(whole).substr(0, size)).status, Status::incomplete) << size;
  const auto header = read_proxy_header(whole);
  ASSERT_EQ(header.status, Status::complete);
  EXPECT_EQ(header.taken, whole.size());
  EXPECT_EQ(header.source, "192.0.2.7");
  EXPECT_EQ(header.source_port, 51'000);
  EXPECT_EQ(header.destination_port, 25);
  EXPECT_EQ(read_proxy_header(version2('\x20', '\0', "")).status, Status::complete);
  EXPECT_EQ(read_proxy_header(version2('\x21', '\x21', std::string(15, '\0') + '\7' + std::string(20, '\0'))).source,
            "::7");
}

/// What is read by what is missing: no octet of what follows.
size_t read_in_steps(const std::string& header, const std::string& rest) {
  const std::string all = header + rest;
  size_t have = 0;
  for (;;) {
    const auto found = read_proxy_header(std::string_view(all).substr(0, have));
    if (found.status != Status::incomplete) return have;
    EXPECT_GT(found.missing, 0U) << have;
    have += found.missing;
  }
}

TEST(ProxyHeader, NeverAsksForMoreThanIsTheHeaders) {
  for (const std::string& header :
       {"PROXY UNKNOWN\r\n"s, "PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n"s, "PROXY TCP4 192.0.2.7 192.0.2.1 12 25\r\n"s,
        "PROXY TCP6 :: :: 1 2\r\n"s, version2('\x20', '\0', ""), version2('\x21', '\x11', std::string(12, '\1'))}) {
    EXPECT_EQ(read_in_steps(header, "\x16\x03\x01\x02"), header.size()) << header;
  }
}

TEST(ProxyHeader, AnythingElseIsMalformed) {
  for (const std::string& text :
       {"EHLO x\r\n"s, "PROXY\r\n"s, "PROXY  TCP4\r\n"s, "PROXY TCP4 192.0.2.7 192.0.2.1 51000\r\n"s,
        "PROXY TCP4 192.0.2.7 192.0.2.1 51000 25 \r\n"s, "PROXY TCP4 192.0.2.7 192.0.2.1 70000 25\r\n"s,
        "PROXY TCP4 2001:db8::7 192.0.2.1 1 25\r\n"s, "PROXY TCP6 192.0.2.7 192.0.2.1 1 25\r\n"s,
        "PROXY TCP4 mx.example 192.0.2.1 1 25\r\n"s, "PROXY " + std::string(200, 'x'),
        version2('\x11', '\x11', std::string(12, '\0')), version2('\x22', '\x11', std::string(12, '\0')),
        version2('\x21', '\x11', std::string(11, '\0')), version2('\x21', '\x21', std::string(12, '\0')),
        version2('\x21', '\x31', std::string(216, '\0')), version2('\x21', '\x11', std::string(5'000, '\0'))}) {
    EXPECT_EQ(read_proxy_header(text).status, Status::malformed) << text;
  }
}

}  // namespace
}  // namespace postrider::net
