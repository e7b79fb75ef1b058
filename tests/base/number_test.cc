#include "common/base/number.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

TEST(Number, TakesDigitsOnly) {
  EXPECT_EQ(parse_number("0"), 0U);
  EXPECT_EQ(parse_number("007"), 7U);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "a", "1a", "\xd9\xa1"})
    EXPECT_EQ(parse_number(text), std::nullopt) << text;
}

TEST(Number, OverflowIsAFailure) {
  EXPECT_EQ(parse_number<uint32_t>("4294967295"), 4'294'967'295U);
  EXPECT_EQ(parse_number<uint32_t>("4294967296"), std::nullopt);
  EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_number("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_number("99999999999999999999999999"), std::nullopt);
}

}  // namespace
}  // namespace postrider
