#include "common/sasl/password.h"

#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/sasl/answer_time.h"

namespace postrider::sasl {
namespace {

using std::chrono::seconds;

TEST(Saslprep, ExamplesOfRfc4013) {
  EXPECT_EQ(saslprep("I\xC2\xADX", true).value(), "IX");  // SOFT HYPHEN is mapped to nothing
  EXPECT_EQ(saslprep("user", true).value(), "user");
  EXPECT_EQ(saslprep("USER", true).value(), "USER");        // case is kept
  EXPECT_EQ(saslprep("\xC2\xAA", true).value(), "a");       // NFKC
  EXPECT_EQ(saslprep("\xE2\x85\xA8", true).value(), "IX");  // NFKC of ROMAN NUMERAL NINE
  EXPECT_FALSE(saslprep("\x07", true));                     // a control character
  EXPECT_FALSE(saslprep("\xD8\xA7\x31", true));             // mixed directions
}

TEST(Saslprep, RefusesInvalidUtf8) {
  EXPECT_FALSE(saslprep("\xC3", false));
  EXPECT_FALSE(saslprep("a\xFF", false));
}

TEST(Saslprep, UnassignedCodePointsAreRefusedOnlyWhenStored) {
  const std::string unassigned = "\xC8\xA1";  // U+0221, not in Unicode 3.2
  EXPECT_FALSE(saslprep(unassigned, true));
  EXPECT_TRUE(saslprep(unassigned, false));
}

TEST(Password, IsRightOnlyAsItWasGiven) {
  const auto record = make_password_record("correct horse").value();
  EXPECT_TRUE(verify_password(record, "correct horse"));
  EXPECT_FALSE(verify_password(record, "Correct horse"));
  EXPECT_FALSE(verify_password(record, ""));
  EXPECT_FALSE(verify_password(record, std::string("correct horse\0", 14)));
  EXPECT_FALSE(verify_password(record, std::string(kMaxPasswordOctets + 1, 'x')));
}

TEST(Password, EquivalentSpellingsAreOnePassword) {
  const auto record = make_password_record("caf\xC3\xA9").value();  // one code point
  EXPECT_TRUE(verify_password(record, "cafe\xCC\x81"));             // e and a combining accent
}

TEST(Password, WhatCannotBeKeptIsRefusedWithAReason) {
  EXPECT_FALSE(make_password_record(""));
  EXPECT_FALSE(make_password_record(std::string(kMaxPasswordOctets + 1, 'x')));
  EXPECT_FALSE(make_password_record("a\nb"));
  EXPECT_FALSE(make_password_record("\xFF\xFE"));
  EXPECT_FALSE(make_password_record("\xC2\xAD"));  // nothing is left of it
}

TEST(Password, TwoRecordsOfOnePasswordDiffer) {
  const auto a = make_password_record("same").value();
  const auto b = make_password_record("same").value();
  EXPECT_NE(a.argon2id, b.argon2id);
  EXPECT_NE(a.scram_salt, b.scram_salt);
  EXPECT_NE(a.stored_key, b.stored_key);
}

TEST(Password, DamagedRecordsFitNothing) {
  PasswordRecord record;
  EXPECT_FALSE(verify_password(record, "x"));
  record.argon2id = "$argon2id$v=19$m=19456,t=2,p=1$AAAA";
  EXPECT_FALSE(verify_password(record, "x"));
}

TEST(Password, TheDummyRecordIsCheckedLikeARealOneAndFitsNothing) {
  const auto real = make_password_record("x").value();
  const auto& dummy = dummy_record();
  EXPECT_EQ(dummy.argon2id.size(), real.argon2id.size());
  EXPECT_EQ(dummy.argon2id.substr(0, 30), real.argon2id.substr(0, 30));  // the same cost
  EXPECT_EQ(dummy.scram_iterations, real.scram_iterations);
  EXPECT_FALSE(verify_password(dummy, "x"));
  EXPECT_FALSE(verify_password(dummy, ""));
}

TEST(Password, ScramKeysOfRfc7677) {
  // "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 iterations; keys as PostgreSQL and others store them for this vector.
  const auto keys = derive_scram_keys("pencil", base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value(), 4096);
  EXPECT_EQ(base64_encode(keys.stored_key), "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
  EXPECT_EQ(base64_encode(keys.server_key), "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

class VerifiedCacheTest : public testing::Test {
 protected:
  VerifiedCache cache;
  PasswordRecord record = make_password_record("secret").value();
  VerifiedCache::Time now{};
};

TEST_F(VerifiedCacheTest, RemembersWhatWasRightAndOnlyThat) {
  EXPECT_FALSE(cache.verify(1, record, "wrong", now));
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_TRUE(cache.verify(1, record, "secret", now));
  EXPECT_TRUE(cache.contains(1, record, "secret", now));
  EXPECT_FALSE(cache.contains(1, record, "wrong", now));
}

TEST_F(VerifiedCacheTest, NeverServesAnotherAccount) {
  cache.remember(1, record, "secret", now);
  EXPECT_FALSE(cache.contains(2, record, "secret", now));
  EXPECT_FALSE(cache.contains(11, record, "secret", now));
}

TEST_F(VerifiedCacheTest, DiesWhenTheRecordChanges) {
  cache.remember(1, record, "secret", now);
  const auto changed = make_password_record("secret").value();
  EXPECT_FALSE(cache.contains(1, changed, "secret", now));
  EXPECT_FALSE(cache.verify(1, make_password_record("other").value(), "secret", now));
}

TEST_F(VerifiedCacheTest, ForgetsAfterItsLifetime) {
  cache.remember(1, record, "secret", now);
  EXPECT_TRUE(cache.contains(1, record, "secret", now + VerifiedCache::kLifetime - seconds(1)));
  EXPECT_FALSE(cache.contains(1, record, "secret", now + VerifiedCache::kLifetime));
}

TEST_F(VerifiedCacheTest, IsBounded) {
  for (int64_t account = 0; account < static_cast<int64_t>(VerifiedCache::kMaxEntries) + 10; ++account) {
    cache.remember(account, record, "secret", now);
  }
  EXPECT_LE(cache.size(), VerifiedCache::kMaxEntries);
}

TEST(AnswerTime, DoesNotTellHowLongSomethingTook) {
  using std::chrono::milliseconds;
  const std::chrono::steady_clock::time_point asked{seconds(1'000)};
  for (const auto took : {milliseconds(0), milliseconds(1), milliseconds(150), milliseconds(1'999)}) {
    EXPECT_EQ(answer_time(asked, asked + took, seconds(2)), asked + seconds(2));
  }
  EXPECT_EQ(answer_time(asked, asked + milliseconds(2'000), seconds(2)), asked + seconds(4));
  EXPECT_EQ(answer_time(asked, asked + milliseconds(5'000), seconds(2)), asked + seconds(6));
  EXPECT_EQ(answer_time(asked, asked + milliseconds(5), seconds(0)), asked + milliseconds(5));
}

}  // namespace
}  // namespace postrider::sasl
