// How durations, sizes, endpoints and networks are written.
#include "common/config/values.h"

#include <gtest/gtest.h>

namespace postrider::config {
namespace {

using std::chrono::milliseconds;

TEST(Duration, IsANumberAndAUnit) {
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("90s"), milliseconds(90'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("4h"), milliseconds(14'400'000));
  EXPECT_EQ(parse_duration("5d"), milliseconds(432'000'000));
}

TEST(Duration, MayHaveSeveralUnits) {
  EXPECT_EQ(parse_duration("1h30m"), milliseconds(5'400'000));
}

TEST(Duration, ZeroNeedsNoUnit) {
  EXPECT_EQ(parse_duration("0"), milliseconds(0));
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text : {"", "5", "m", "-5m", "5 m", "5x", "1.5h", "99999999999999999999s", "101000d", "5m3"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Duration, IsFormattedInTheLargestUnitThatFits) {
  EXPECT_EQ(format_duration(milliseconds(0)), "0s");
  EXPECT_EQ(format_duration(milliseconds(1'500)), "1500ms");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(milliseconds(86'400'000)), "1d");
}

TEST(Size, IsOctetsOrBinaryUnits) {
  EXPECT_EQ(parse_size("1000"), 1'000U);
  EXPECT_EQ(parse_size("64KiB"), 65'536U);
  EXPECT_EQ(parse_size("50MiB"), 52'428'800U);
  EXPECT_EQ(parse_size("2GiB"), uint64_t{2} << 30);
}

TEST(Size, RefusesWhatIsNone) {
  for (const char* text : {"", "KiB", "-1", "1KB", "1 MiB", "1.5MiB", "99999999TiB", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Size, IsReadBackAsItWasFormatted) {
  for (uint64_t octets :
       {uint64_t{0}, uint64_t{1}, uint64_t{1023}, uint64_t{1024}, uint64_t{50} << 20, uint64_t{3} << 40}) {
    EXPECT_EQ(parse_size(format_size(octets)), octets);
  }
}

TEST(Endpoint, IsAHostAndAPort) {
  auto endpoint = parse_endpoint("mx.example.org:2525");
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->host, "mx.example.org");
  EXPECT_EQ(endpoint->port, 2525);
}

TEST(Endpoint, TakesIPv6InBrackets) {
  auto endpoint = parse_endpoint("[2001:db8::1]:25");
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->host, "2001:db8::1");
}

TEST(Endpoint, RefusesWhatIsNone) {
  for (const char* text : {"", "host", "host:", ":25", "host:0", "host:65536", "2001:db8::1:25", "a b:25"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

TEST(NetworkSet, ContainsItsAddressesOnly) {
  auto set = NetworkSet::parse({"192.0.2.0/25", "2001:db8::/33", "198.51.100.7"});
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->contains("192.0.2.127"));
  EXPECT_FALSE(set->contains("192.0.2.128"));
  EXPECT_TRUE(set->contains("2001:db8:7fff::1"));
  EXPECT_FALSE(set->contains("2001:db8:8000::1"));
  EXPECT_TRUE(set->contains("198.51.100.7"));
  EXPECT_FALSE(set->contains("198.51.100.6"));
  EXPECT_FALSE(set->contains("no address"));
}

TEST(NetworkSet, TakesAMappedAddressForTheIPv4AddressThatItIs) {
  auto set = NetworkSet::parse({"192.0.2.0/24"});
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->contains("::ffff:192.0.2.1"));
}

TEST(NetworkSet, AllOfIPv4IsNotIPv6) {
  auto set = NetworkSet::parse({"0.0.0.0/0"});
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->contains("203.0.113.1"));
  EXPECT_FALSE(set->contains("2001:db8::1"));
}

TEST(NetworkSet, NamesTheOneThatIsWrong) {
  for (const char* text : {"192.0.2.0/33", "192.0.2/24", "192.0.2.0/", "2001:db8::/129", "example.org", ""}) {
    auto set = NetworkSet::parse({"127.0.0.1", text});
    ASSERT_FALSE(set) << text;
    EXPECT_NE(set.error().message.find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace postrider::config
