#include "common/mailauth/arc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/mailauth/auth_results.h"
#include "tests/mailauth/sealer.h"

namespace postrider::arc {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr UnixTime kNow = 1'700'000'000;

class ArcTest : public testing::Test {
 protected:
  /// What the chain of a message comes to: "pass", "none", or why it fails.
  std::string outcome(const std::string& message) {
    Chain chain = verified(message);
    return chain.verdict() == Verdict::fail ? chain.reason() : std::string(to_string(chain.verdict()));
  }
  Chain verified(const std::string& message) {
    const std::string_view head = std::string_view(message).substr(0, header_block_size(message));
    Chain chain(head, kNow);
    dkim::BodyHashes bodies;
    dns_.run(
        [&](DnsLookups& lookups) { return chain.find_keys(lookups, bodies) ? std::optional(true) : std::nullopt; });
    bodies.feed(std::string_view(message).substr(head.size()));
    bodies.finish();
    chain.finish(bodies);
    return chain;
  }
  /// The message with the first occurrence replaced.
  static std::string with(std::string message, const std::string& from, const std::string& to) {
    const size_t at = message.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return message.replace(at, from.size(), to);
  }
  /// The message without the first field that begins like this.
  static std::string without(const std::string& message, const std::string& begin) {
    const size_t at = message.find(begin);
    EXPECT_NE(at, std::string::npos) << begin;
    HeaderReader reader(std::string_view(message).substr(at));
    return message.substr(0, at) + message.substr(at + reader.next()->raw.size());
  }
  std::string seal(const std::string& message, const Sealer::Wrong& wrong) {
    return sealer_.seal(message, "list.example", "dmarc=pass header.from=good.example", wrong);
  }

  DnsTable dns_;
  Sealer sealer_{dns_};
  const std::string plain_ = "From: a@good.example\r\nTo: list@list.example\r\nSubject: hello\r\n\r\nbody\r\n";
  const std::string one_ = sealer_.seal(plain_, "list.example", "dmarc=pass header.from=good.example");
  // The list's footer breaks what the author's domain signed, and the next server seals what came to it.
  const std::string two_ = sealer_.seal(one_, "forward.example", "dmarc=fail header.from=good.example; arc=pass");
};

TEST_F(ArcTest, ChainsHold) {
  EXPECT_EQ(outcome(plain_), "none");
  EXPECT_EQ(outcome(one_), "pass");
  EXPECT_EQ(outcome(two_), "pass");
  const std::string three = sealer_.seal(two_, "list.example", "arc=pass");
  EXPECT_EQ(outcome(three), "pass");
  EXPECT_EQ(outcome("Received: x\r\nX-Other: y\r\n" + three), "pass");
  const Chain chain = verified(three);
  ASSERT_THAT(chain.sets(), SizeIs(3));
  EXPECT_EQ(chain.sets()[1].domain, "forward.example");
  EXPECT_EQ(chain.sets()[1].selector, "arc");
}

TEST_F(ArcTest, TheOrderOfFieldsCountsForNothing) {
  const std::string first = two_.substr(0, two_.find("\r\n") + 2);
  EXPECT_EQ(outcome(with(two_.substr(first.size()), "From:", first + "From:")), "pass");
}

TEST_F(ArcTest, OnlyTheLastSignatureHasToHold) {
  // A list adds to the subject before it seals: its own set holds, the one before does not any more.
  const std::string changed = with(one_, "Subject: hello", "Subject: [list] hello");
  EXPECT_THAT(outcome(changed), HasSubstr("its last signature fails: the header was changed"));
  EXPECT_EQ(outcome(sealer_.seal(changed, "forward.example", "arc=pass")), "pass");
}

TEST_F(ArcTest, WhatWasChangedIsSeen) {
  EXPECT_THAT(outcome(with(two_, "\r\nbody", "\r\nbuy")), HasSubstr("the body was changed"));
  EXPECT_THAT(outcome(with(two_, "From: a@", "From: b@")), HasSubstr("the header was changed"));
  EXPECT_EQ(outcome(with(two_, "dmarc=pass", "dmarc=none")), "its seal 1 does not hold");
  EXPECT_EQ(outcome(with(two_, "dmarc=fail", "dmarc=pass")), "its seal 2 does not hold");
  EXPECT_THAT(outcome(with(two_, "s=arc; h=", "s=arc; t=1; h=")), HasSubstr("the header was changed"));
}

TEST_F(ArcTest, SetsAreWholeAndEachIsThereOnce) {
  for (const char* field : {"ARC-Seal: i=1", "ARC-Message-Signature: i=1", "ARC-Authentication-Results: i=1"})
    EXPECT_EQ(outcome(without(two_, field)), "its set 1 is not whole") << field;
  EXPECT_EQ(outcome(without(without(without(two_, "ARC-Seal: i=1"), "ARC-Message-Signature: i=1"),
                            "ARC-Authentication-Results: i=1")),
            "its set 1 is not whole");
  EXPECT_EQ(outcome("ARC-Authentication-Results: i=2; x; none\r\n" + two_), "its set 2 has a field twice");
  EXPECT_EQ(outcome("ARC-Seal: i=4; cv=none\r\n" + two_), "its set 3 is not whole");
  for (const char* field :
       {"ARC-Seal: i=51; cv=pass\r\n", "ARC-Seal: i=0\r\n", "ARC-Seal: cv=pass\r\n", "ARC-Seal: i=1; i=2\r\n",
        "ARC-Authentication-Results: mx.example; i=3\r\n", "ARC-Authentication-Results: i=3\r\n",
        "ARC-Authentication-Results: i=99999999999; x\r\n", "ARC-Message-Signature: nonsense\r\n"})
    EXPECT_EQ(outcome(field + two_), "a field of it has no instance from 1 to 50") << field;
}

TEST_F(ArcTest, FiftySetsAndNoMore) {
  std::string message = plain_;
  for (int i = 0; i < 50; ++i)
    message = sealer_.seal(message, i % 2 == 0 ? "list.example" : "forward.example", "arc=pass");
  EXPECT_EQ(outcome(message), "pass");
  const size_t asked = dns_.asked();
  EXPECT_EQ(outcome(sealer_.seal(message, "list.example", "arc=pass")), "a field of it has no instance from 1 to 50");
  EXPECT_EQ(dns_.asked(), asked) << "nothing is asked for a chain that cannot hold";
}

TEST_F(ArcTest, SealsSayTheRightThingOfThoseBefore) {
  EXPECT_EQ(outcome(seal(one_, {"fail", {}, {}})), "the last sealer found it broken");
  EXPECT_EQ(outcome(sealer_.seal(seal(one_, {"fail", {}, {}}), "list.example", "arc=fail")),
            "its seal 2 says the wrong thing of those before");
  EXPECT_EQ(outcome(seal(one_, {"none", {}, {}})), "its seal 2 says the wrong thing of those before");
  EXPECT_EQ(outcome(seal(plain_, {"pass", {}, {}})), "its seal 1 says the wrong thing of those before");
}

TEST_F(ArcTest, WhatHasNoPlaceInItsFields) {
  EXPECT_THAT(outcome(seal(plain_, {{}, "h=from; ", {}})), HasSubstr("h= has no place in a seal"));
  EXPECT_THAT(outcome(seal(one_, {{}, {}, {}, "from:arc-seal"})), HasSubstr("covers seals"));
  EXPECT_THAT(outcome(seal(plain_, {{}, {}, {}, "to"})), HasSubstr("From is not signed"));
  EXPECT_THAT(outcome(seal(plain_, {{}, {}, "x=1699999999; "})), HasSubstr("has expired"));
  EXPECT_THAT(outcome(seal(plain_, {{}, {}, "l=2; "})), HasSubstr("its last signature fails"));
  EXPECT_EQ(outcome(seal(plain_, {{}, "t=1; ", "v=1; t=1; x=1700000001; "})), "pass");
}

TEST_F(ArcTest, KeysThatAreNotThere) {
  dns_.set("arc._domainkey.list.example", DnsType::txt, DnsAnswer{DnsAnswer::Status::no_domain, {}, {}, false, 0, {}});
  EXPECT_EQ(outcome(two_), "the key arc of list.example: there is no such key");
  dns_.fail("arc._domainkey.list.example", DnsType::txt);
  EXPECT_EQ(outcome(two_), "the key arc of list.example: DNS does not answer for the key");
}

// --- whose word counts

class TestimonyTest : public ArcTest {
 protected:
  TestimonyTest() {
    author_.domain = author_.record_domain = "good.example";
    author_.record = dmarc::Record{dmarc::Policy::reject, {}, false, false, 100, {}, "0"};
    author_.policy = dmarc::Policy::reject;
  }
  /// The sealer that is believed; empty: none.
  std::string believed(const std::string& message, const std::vector<std::string>& trusted) {
    const Chain chain = verified(message);
    const auto found = find_testimony(chain, author_, trusted);
    return found ? found->sealer : std::string();
  }
  /// Whether these results of a trusted sealer are enough.
  bool enough(const std::string& recorded) {
    return !believed(sealer_.seal(plain_, "list.example", recorded), {"list.example"}).empty();
  }

  dmarc::AuthorPolicy author_;
};

TEST_F(TestimonyTest, TrustReachesBackWithoutAGap) {
  EXPECT_EQ(believed(one_, {"list.example"}), "list.example");
  EXPECT_EQ(believed(one_, {"LIST.example", "other.example"}), "list.example");
  EXPECT_EQ(believed(one_, {}), "");
  EXPECT_EQ(believed(two_, {"forward.example", "list.example"}), "list.example");
  EXPECT_EQ(believed(two_, {"list.example"}), "") << "who sealed last is a stranger";
  EXPECT_EQ(believed(two_, {"forward.example"}), "") << "it only says what a stranger said";
  EXPECT_EQ(believed(with(one_, "\r\nbody", "\r\nbuy"), {"list.example"}), "");
  EXPECT_EQ(find_testimony(verified(two_), author_, {"forward.example", "list.example"})->comment,
            "arc=pass as[2].d=forward.example as[2].s=arc as[1].d=list.example as[1].s=arc");
}

TEST_F(TestimonyTest, WhatIsEnough) {
  EXPECT_TRUE(enough("dmarc=pass (p=REJECT sp=NONE) header.from=Good.Example"));
  EXPECT_TRUE(enough("spf=none; dkim=pass (2048-bit key) header.d=mail.good.example header.s=\"x\""));
  EXPECT_TRUE(enough("spf=pass (it is; really) smtp.mailfrom=bounce@good.example"));
  EXPECT_TRUE(enough("dkim/1 = pass reason=\"a; b\" header.d = good.example"));
  EXPECT_FALSE(enough("dmarc=pass header.from=evil.example"));
  EXPECT_FALSE(enough("dkim=pass header.d=evil.example; spf=pass smtp.mailfrom=evil.example"));
  EXPECT_FALSE(enough(
      "dkim=fail header.d=good.example; spf=softfail smtp.mailfrom=good.example; dmarc=fail header.from=good.example"));
  EXPECT_FALSE(enough("x=\"; dmarc=pass header.from=good.example\""));
  EXPECT_FALSE(enough("none (; dmarc=pass header.from=good.example)"));
  EXPECT_FALSE(enough("none"));
  author_.record->strict_dkim = true;
  EXPECT_FALSE(enough("dkim=pass header.d=mail.good.example"));
}

TEST(RecordedResultsTest, AreReadAsTheyAreWritten) {
  const auto results = parse_results(
      "mx.example.net 1;\r\n\tSPF=Pass (a (nested) comment) smtp.mailfrom=\"a b\"@x reason=\"x;y\" ;dkim=fail/1;;=x; "
      "arc = none ;"
      "dmarc=pass header.from=a.example policy.x=\"q\\\"\"");
  ASSERT_THAT(results, SizeIs(4));
  EXPECT_EQ(results[0].method + results[0].result, "spfpass");
  EXPECT_EQ(results[0].property("SMTP.mailfrom"), "a b");
  EXPECT_EQ(results[1].result, "fail/1");
  EXPECT_EQ(results[2].method + results[2].result, "arcnone");
  EXPECT_EQ(results[3].property("header.from"), "a.example");
  EXPECT_EQ(results[3].property("policy.x"), "q\"");
  EXPECT_EQ(results[3].property("policy.y"), "");
  EXPECT_THAT(parse_results("mx.example.net; none"), IsEmpty());
  std::string many;
  for (int i = 0; i < 1'000; ++i) many += "; a=b";
  EXPECT_THAT(parse_results(many), SizeIs(kMaxRecorded));
}

}  // namespace
}  // namespace postrider::arc
