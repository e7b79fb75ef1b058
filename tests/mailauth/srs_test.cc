#include "common/mailauth/srs.h"

#include <gtest/gtest.h>

#include "common/base/ascii.h"

namespace postrider::srs {
namespace {

constexpr UnixTime kDay = 86'400;
constexpr UnixTime kNow = 20'000 * kDay;
const std::string kKey = "one key", kOther = "another key";
const Address kAlice{"alice", "a.example"};

Address forwarded(const Address& sender, std::string_view domain = "b.example", UnixTime now = kNow) {
  auto address = forward(sender, domain, kKey, now);
  EXPECT_TRUE(address);
  return address.value_or(Address{});
}

std::string back(const Address& address, UnixTime now = kNow, std::vector<std::string> keys = {kKey}) {
  auto sender = restore(address, keys, now);
  if (sender) return sender->to_string();
  return sender.error() == Fault::wrong_hash ? "wrong hash" : sender.error() == Fault::expired ? "expired" : "other";
}

TEST(SrsTest, ASenderGoesIntoTheAddressAndComesOut) {
  const Address address = forwarded(kAlice);
  EXPECT_EQ(address.domain, "b.example");
  EXPECT_TRUE(address.local_part.starts_with("SRS0="));
  EXPECT_TRUE(address.local_part.ends_with("=a.example=alice")) << address.local_part;
  EXPECT_EQ(back(address), "alice@a.example");
}

TEST(SrsTest, LettersMayChangeTheirCaseOnTheWay) {
  EXPECT_EQ(back({lower(forwarded(kAlice).local_part), "b.example"}), "alice@a.example");
  EXPECT_EQ(back({upper(forwarded(kAlice).local_part), "b.example"}), "ALICE@A.EXAMPLE");
}

TEST(SrsTest, EveryLocalPartComesBackAsItWas) {
  for (const char* local_part : {"a=b=c", "a b", "\"", "srs0", "x+y-z", "=", "\xC3\xBC"})
    EXPECT_EQ(back(forwarded({local_part, "a.example"})), (Address{local_part, "a.example"}.to_string()));
}

TEST(SrsTest, WhatNobodyMadeHereIsRefused) {
  Address address = forwarded(kAlice);
  address.local_part.back() = 'f';
  EXPECT_EQ(back(address), "wrong hash");
  EXPECT_EQ(back({"SRS0=AAAAAA=AA=a.example=alice", "b.example"}), "wrong hash");
  EXPECT_EQ(back({"SRS0=A=AA=a.example=alice", "b.example"}), "wrong hash");
  EXPECT_EQ(back({"SRS1=AAAAAA=a.example==x", "b.example"}), "wrong hash");
}

TEST(SrsTest, TheDayIsUnderTheHash) {
  Address address = forwarded(kAlice);
  const size_t day = address.local_part.find("=", 5) + 2;
  address.local_part[day] = address.local_part[day] == 'A' ? 'B' : 'A';
  EXPECT_EQ(back(address), "wrong hash");
}

TEST(SrsTest, AnAddressIsGoodForThreeWeeks) {
  const Address address = forwarded(kAlice);
  EXPECT_EQ(back(address, kNow - kDay), "alice@a.example");  // a clock that is slow
  EXPECT_EQ(back(address, kNow - 2 * kDay), "expired");
  EXPECT_EQ(back(address, kNow + kValidDays * kDay), "alice@a.example");
  EXPECT_EQ(back(address, kNow + (kValidDays + 1) * kDay), "expired");
}

TEST(SrsTest, DaysGoRound) {
  const UnixTime last = (1024 * 20 - 1) * kDay;
  const Address address = forwarded(kAlice, "b.example", last);
  EXPECT_EQ(back(address, last + 5 * kDay), "alice@a.example");
  EXPECT_EQ(back(address, last + 30 * kDay), "expired");
}

TEST(SrsTest, OlderKeysAreKnown) {
  EXPECT_EQ(back(forwarded(kAlice), kNow, {kOther, kKey}), "alice@a.example");
  EXPECT_EQ(back(forwarded(kAlice), kNow, {kOther}), "wrong hash");
  EXPECT_EQ(back(forwarded(kAlice), kNow, {}), "wrong hash");
}

TEST(SrsTest, WhatWasForwardedBeforeLeadsToTheFirstForwarder) {
  const Address first = forwarded(kAlice, "b.example");
  const Address second = forwarded(first, "c.example");
  EXPECT_EQ(second.domain, "c.example");
  EXPECT_TRUE(second.local_part.starts_with("SRS1=")) << second.local_part;
  EXPECT_EQ(back(second), first.to_string());
  const Address third = forwarded(second, "d.example");
  EXPECT_EQ(third.local_part.size(), second.local_part.size());
  EXPECT_EQ(back(third), first.to_string());
}

TEST(SrsTest, OtherMakersSeparatorsAreKept) {
  const Address theirs{"SRS0+abcd=xy=a.example=alice", "b.example"};
  EXPECT_EQ(back(forwarded(theirs, "c.example")), theirs.to_string());
}

TEST(SrsTest, WhatDoesNotFitIsNotMade) {
  EXPECT_FALSE(forward({std::string(50, 'a'), "a.example"}, "b.example", kKey, kNow));
  EXPECT_TRUE(forward({std::string(30, 'a'), "a.example"}, "b.example", kKey, kNow));
}

TEST(SrsTest, OrdinaryAddressesAreNone) {
  for (const char* text : {"SRS0", "SRS0=", "SRS0==", "SRS0=a", "SRS0=a=b", "SRS0=a=b=c", "SRS0=a=b=c=", "SRS1=a=b",
                           "SRS1=a=b=x", "SRS1=a=b==", "srs2=a=b=c=d", "alice", ""})
    EXPECT_EQ(back({text, "b.example"}), "other") << text;
}

}  // namespace
}  // namespace postrider::srs
