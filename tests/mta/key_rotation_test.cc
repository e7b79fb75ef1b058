// How DKIM keys follow each other, as DNS lets them.
#include "mta/key_rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mta/signer.h"
#include "tests/mailauth/signatures.h"
#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::ElementsAre;

constexpr UnixTime kDay = 86'400;
constexpr Seconds kPeriod{90 * kDay};

class KeyRotationTest : public testing::Test {
 protected:
  KeyRotationTest() {
    for (const auto& key : keys_.create("example.org", clock_.unix_time(), clock_.unix_time())) publish(key);
  }
  void publish(const store::DkimKey& key) { dns_.txt(key.record_name(), key.record); }
  void withdraw(const store::DkimKey& key) {
    DnsAnswer none;
    none.status = DnsAnswer::Status::no_domain;
    dns_.set(key.record_name(), DnsType::txt, none);
  }
  asio::awaitable<DnsAnswer> answer(std::string name, DnsType type) { co_return *dns_.answer({name, type}); }
  void round(Seconds period = kPeriod) {
    asio::io_context loop;
    asio::co_spawn(loop, rotation_.run(period, [this](std::string name, DnsType type) { return answer(name, type); }),
                   [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    loop.run();
  }
  void pass(UnixTime seconds) { clock_.advance(Seconds(seconds)); }
  /// "r signs", "e waits"..., in the order of their times; those of one kind alone, where it is given.
  std::vector<std::string> uses(char kind = 0) {
    std::vector<std::string> found;
    const auto all = keys_.list("example.org");
    for (const store::DkimKey& key : all) {
      if (kind != 0 && key.selector.front() != kind) continue;
      found.push_back(key.selector.substr(0, 1) + ' ' + std::string(to_string(use_of(all, key, clock_.unix_time()))));
    }
    return found;
  }
  std::vector<store::DkimKey> that(store::DkimUse use) {
    std::vector<store::DkimKey> found;
    const auto all = keys_.list("example.org");
    for (const store::DkimKey& key : all) {
      if (use_of(all, key, clock_.unix_time()) == use) found.push_back(key);
    }
    return found;
  }
  /// Until the keys that follow wait for DNS.
  void let_them_wait() {
    pass(kPeriod.count() - KeyRotation::kMaxAhead);
    round();
    ASSERT_THAT(uses(), ElementsAre("e signs", "r signs", "e waits", "r waits"));
  }
  /// Days in rounds of some hours.
  void live(int days) {
    for (int i = 0; i < days * 4; ++i) pass(kDay / 4), round();
  }

  store::TempState state_;
  ManualClock clock_{1'769'860'800};
  DnsTable dns_;
  store::DkimKeys keys_{state_.path()};
  KeyRotation rotation_{state_.path(), clock_};
};

TEST_F(KeyRotationTest, NothingHappensBeforeItsTimeOrWhereItIsOff) {
  round();
  pass(kPeriod.count() - KeyRotation::kMaxAhead - 1);
  round();
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs"));
  pass(1'000 * kDay);
  round(Seconds(0));
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs"));
}

TEST_F(KeyRotationTest, AKeySignsWhenDnsHasItAndItsTurnHasCome) {
  let_them_wait();
  round();
  EXPECT_EQ(keys_.list("example.org").size(), 4U) << "one of each kind is enough";
  const auto waiting = that(store::DkimUse::waits);
  for (const auto& key : waiting) publish(key);
  live(13);
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs", "e waits", "r waits")) << "the others have a day left";
  live(1);
  EXPECT_THAT(uses(), ElementsAre("e old", "r old", "e signs", "r signs"));
  EXPECT_EQ(that(store::DkimUse::signs)[0].record, waiting[0].record);
}

TEST_F(KeyRotationTest, WhatIsNotPublishedNeverSigns) {
  let_them_wait();
  live(200);
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs", "e waits", "r waits"));
  auto waiting = that(store::DkimUse::waits);
  dns_.txt(waiting[0].record_name(), "v=DKIM1; k=ed25519; p=AAAA");
  dns_.fail(waiting[1].record_name(), DnsType::txt);
  live(1);
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs", "e waits", "r waits"));
  publish(waiting[0]);
  live(1);
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs", "e waits", "r waits")) << "there are two records";
}

TEST_F(KeyRotationTest, ARecordMustHaveBeenThereForAWhile) {
  let_them_wait();
  live(20);
  const auto waiting = that(store::DkimUse::waits);
  for (const auto& key : waiting) publish(key);
  round();
  pass(KeyRotation::kSpread - 1);
  round();
  EXPECT_THAT(uses(), ElementsAre("e signs", "r signs", "e waits", "r waits"));
  withdraw(waiting[0]);
  pass(1);
  round();
  EXPECT_THAT(uses('e'), ElementsAre("e signs", "e waits"));
  EXPECT_THAT(uses('r'), ElementsAre("r old", "r signs")) << "each kind goes its own way";
  publish(waiting[0]);
  round();
  pass(KeyRotation::kSpread);
  round();
  EXPECT_THAT(uses('e'), ElementsAre("e old", "e signs"));
}

TEST_F(KeyRotationTest, AnOldKeyGoesWhenItsRecordIsGone) {
  let_them_wait();
  const auto old = that(store::DkimUse::signs);
  for (const auto& key : that(store::DkimUse::waits)) publish(key);
  live(15);
  EXPECT_THAT(uses(), ElementsAre("e old", "r old", "e signs", "r signs"));
  withdraw(old[0]);
  live(12);
  EXPECT_EQ(that(store::DkimUse::old).size(), 2U) << "mail on its way needs it";
  live(2);
  EXPECT_THAT(uses('e'), ElementsAre("e signs"));
  EXPECT_THAT(uses('r'), ElementsAre("r unused", "r signs")) << "somebody is still to be told";
  withdraw(old[1]);
  round(Seconds(0));
  EXPECT_EQ(that(store::DkimUse::unused).size(), 1U) << "without dkim.rotate nothing goes by itself";
  round();
  EXPECT_THAT(uses('r'), ElementsAre("r signs"));
}

TEST_F(KeyRotationTest, OnlyTheKindsThatADomainHas) {
  keys_.remove("example.org", that(store::DkimUse::signs)[0].selector);
  pass(kPeriod.count());
  round();
  EXPECT_THAT(uses(), ElementsAre("r signs", "r waits"));
}

TEST_F(KeyRotationTest, KeysThatWaitAreLookedAfterWhenItIsTurnedOff) {
  let_them_wait();
  for (const auto& key : that(store::DkimUse::waits)) publish(key);
  round(Seconds(0));
  pass(KeyRotation::kSpread);
  round(Seconds(0));
  EXPECT_THAT(uses(), ElementsAre("e old", "r old", "e signs", "r signs"));
}

TEST_F(KeyRotationTest, ARunningSignerFollows) {
  Signer signer(state_.path(), clock_);
  const std::string message = "From: alice@example.org\r\nSubject: x\r\n\r\nhello\r\n";
  const auto selector = [&] {
    const auto results = verify_signatures(dns_, signer.sign_own("example.org", message) + message, clock_.unix_time());
    EXPECT_EQ(results.size(), 2U);
    for (const auto& result : results) EXPECT_EQ(result.verdict, dkim::Verdict::pass) << result.reason;
    return results.empty() ? std::string() : results.front().selector;
  };
  const std::string first = selector();
  let_them_wait();
  EXPECT_EQ(selector(), first);
  for (const auto& key : that(store::DkimUse::waits)) publish(key);
  live(15);
  EXPECT_NE(selector(), first);
}

}  // namespace
}  // namespace postrider
