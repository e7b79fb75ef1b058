#include "common/config/milter.h"

#include <gtest/gtest.h>

#include "common/config/policy_values.h"

namespace postrider::config {
namespace {

TEST(ParseMilter, PlacesAndOptions) {
  const auto unix_socket = parse_milter("unix:/run/a.sock");
  ASSERT_TRUE(unix_socket);
  EXPECT_EQ(unix_socket->path, "/run/a.sock");
  EXPECT_TRUE(unix_socket->wants(true) && unix_socket->wants(false));
  const auto inet = parse_milter(" inet:[::1]:11332  name=rspamd on_failure=accept mail=incoming ");
  ASSERT_TRUE(inet);
  EXPECT_EQ(inet->host, "::1");
  EXPECT_EQ(inet->port, 11'332);
  EXPECT_EQ(inet->name, "rspamd");
  EXPECT_EQ(inet->on_failure, "accept");
  EXPECT_TRUE(inet->wants(false));
  EXPECT_FALSE(inet->wants(true));
  for (const char* text : {"", "127.0.0.1:11332", "unix:a.sock", "inet:127.0.0.1", "inet:127.0.0.1:0",
                           "unix:/a on_failure=", "unix:/a mail=none", "unix:/a name=", "unix:/a fast"})
    EXPECT_FALSE(parse_milter(text)) << text;
}

TEST(ParseRates, CountsAndTimes) {
  const auto rates = parse_rates({"1000/1h", "5 / 1m"});
  ASSERT_TRUE(rates);
  EXPECT_EQ(rates->at(0).count, 1'000u);
  EXPECT_EQ(rates->at(1).per, Seconds(60));
  for (const char* text : {"", "5", "/1h", "0/1h", "5/0", "5/2d", "5/500ms", "-1/1h", "5/1h/1h"})
    EXPECT_FALSE(parse_rates({text})) << text;
  EXPECT_FALSE(parse_rates({"1/1h", "1/1h", "1/1h", "1/1h", "1/1h"}));
}

TEST(ParseListZones, NamesAndCodes) {
  const auto zones = parse_list_zones({"BL.example", "other.example=127.0.0.2 127.0.0.8/31"});
  ASSERT_TRUE(zones);
  EXPECT_EQ(zones->at(0).name, "bl.example");
  for (const char* code : {"127.0.0.2", "127.0.0.11", "127.0.0.255", "127.0.1.5"})
    EXPECT_TRUE(zones->at(0).codes.contains(code)) << code;
  for (const char* code : {"127.0.0.1", "127.255.255.254", "127.0.2.1", "192.0.2.1"})
    EXPECT_FALSE(zones->at(0).codes.contains(code)) << code;
  EXPECT_TRUE(zones->at(1).codes.contains("127.0.0.9"));
  EXPECT_FALSE(zones->at(1).codes.contains("127.0.0.3"));
  for (const char* text : {"", "bl", "bl.example=nonsense", "http://bl.example", "a b.example"})
    EXPECT_FALSE(parse_list_zones({text})) << text;
}

}  // namespace
}  // namespace postrider::config
