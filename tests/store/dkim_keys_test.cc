#include "store/dkim_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "store/message_source.h"
#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

constexpr UnixTime kDay = 86'400;
constexpr UnixTime kNow = 1'769'860'800;  // 2026-01-31

class DkimKeysTest : public testing::Test {
 protected:
  TempState state_;
  DkimKeys keys_{state_.path()};
};

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_F(DkimKeysTest, KeysAreTheDaemonsAloneAndRecordsEverybodys) {
  EXPECT_EQ(keys_.stamp("example.org"), 0);
  const auto made = keys_.create("example.org", kNow, kNow);
  ASSERT_EQ(made.size(), 2U);
  EXPECT_EQ(made[0].record_name(), "r20260131._domainkey.example.org");
  EXPECT_EQ(made[1].record_name(), "e20260131._domainkey.example.org");
  struct stat info {};
  ASSERT_EQ(::stat((state_.path() + "/dkim/example.org/r20260131.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const std::string record = text_of(keys_.record_file(made[0]));
  EXPECT_NE(record.find("; " + made[0].record + "\n"), std::string::npos) << record;
  EXPECT_NE(record.find("r20260131._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p="), std::string::npos) << record;
  EXPECT_NE(keys_.stamp("example.org"), 0);
  EXPECT_EQ(keys_.domains(), std::vector<std::string>{"example.org"});
  EXPECT_TRUE(keys_.load(made[0]));
}

TEST_F(DkimKeysTest, NewKeysWaitForTheirTime) {
  keys_.create("example.org", kNow, kNow);
  const auto next = keys_.create("example.org", kNow, kNow + 3 * kDay);
  EXPECT_EQ(next[0].selector, "r20260131b");
  const auto all = keys_.list("example.org");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[2].signs_from, kNow + 3 * kDay);
  EXPECT_EQ(signing_keys(all, kNow + 2 * kDay)[0].selector, "r20260131");
  EXPECT_EQ(signing_keys(all, kNow + 3 * kDay)[0].selector, "r20260131b");
  EXPECT_EQ(signing_keys(all, kNow + 3 * kDay)[1].selector, "e20260131b");
  EXPECT_TRUE(signing_keys(all, kNow - 1).empty());
}

TEST_F(DkimKeysTest, WhatAKeyIsGoodForGoesByItsKind) {
  const auto first = keys_.create("example.org", kNow, kNow);
  const auto next = keys_.create("example.org", dkim::Algorithm::rsa_sha256, kNow, kWhenPublished);
  const auto use = [&](const DkimKey& key, UnixTime now) {
    const auto all = keys_.list("example.org");
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const DkimKey& one) { return one.selector == key.selector; });
    return std::string(found == all.end() ? "gone" : to_string(use_of(all, *found, now)));
  };
  EXPECT_NE(text_of(state_.path() + "/dkim/example.org/r20260131b.pem").find("(when DNS has its record)\n-----"),
            std::string::npos);
  EXPECT_EQ(use(first[0], kNow + 900 * kDay), "signs");
  EXPECT_EQ(use(next, kNow + 900 * kDay), "waits");
  const int64_t before = keys_.stamp("example.org");
  EXPECT_TRUE(keys_.set_signs_from(next, kNow + kDay));
  EXPECT_NE(keys_.stamp("example.org"), before);
  EXPECT_EQ(use(next, kNow), "next");
  EXPECT_EQ(use(next, kNow + kDay), "signs");
  EXPECT_EQ(keys_.list("example.org")[2].record, next.record);
  EXPECT_EQ(use(first[0], kNow + kDay), "old");
  EXPECT_EQ(use(first[0], kNow + 15 * kDay), "old");
  EXPECT_EQ(use(first[0], kNow + 15 * kDay + 1), "unused");
  EXPECT_EQ(use(first[1], kNow + 900 * kDay), "signs");
  keys_.remove("example.org", next.selector);
  EXPECT_FALSE(keys_.set_signs_from(next, kNow));
}

TEST_F(DkimKeysTest, KeysGo) {
  keys_.create("example.org", kNow, kNow);
  EXPECT_TRUE(keys_.remove("example.org", "r20260131"));
  EXPECT_FALSE(keys_.remove("example.org", "r20260131"));
  EXPECT_EQ(keys_.list("example.org").size(), 1U);
}

TEST_F(DkimKeysTest, NamesThatLeadElsewhereAreNone) {
  EXPECT_ANY_THROW(keys_.create("../example", kNow, kNow));
  EXPECT_TRUE(keys_.list("..").empty());
  EXPECT_TRUE(keys_.list("Example.ORG").empty());
  EXPECT_EQ(keys_.stamp("../accounts"), 0);
}

TEST(ZoneLine, LongTextsAreCut) {
  EXPECT_EQ(zone_line("a.example", "x\"y"), "a.example. IN TXT \"x\\\"y\"");
  const std::string line = zone_line("a.example", std::string(300, 'x'));
  EXPECT_NE(line.find("x\" \"x"), std::string::npos);
}

// --- what is put in front of a message

TEST(SpoolTest, FieldsGoInFront) {
  TempState state;
  for (size_t size : {10U, 1'000'000U}) {
    const std::string body(size, 'x');
    Spool spool(state.file("spool"));
    for (size_t at = 0; at < body.size(); at += 9'999) spool.append(std::string_view(body).substr(at, 9'999));
    spool.prepend("second\r\n");
    spool.prepend("first\r\n");
    spool.sync();
    std::string text;
    spool.read([&](std::string_view piece) { text += piece; });
    EXPECT_TRUE(text == "first\r\nsecond\r\n" + body);
    EXPECT_EQ(spool.size(), text.size());
    if (spool.in_memory()) continue;
    const Spool again = Spool::adopt(spool.path());
    EXPECT_EQ(again.size(), text.size());
    std::string read_again;
    again.read([&](std::string_view piece) { read_again += piece; });
    EXPECT_TRUE(read_again == text);
    EXPECT_THROW(spool.prepend(std::string(Spool::kFrontRoom, 'y')), std::length_error);
  }
  EXPECT_TRUE(std::filesystem::is_empty(state.file("spool")));
}

}  // namespace
}  // namespace postrider::store
