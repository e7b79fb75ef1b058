#include "common/base/ascii.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

TEST(Ascii, FoldsLettersOnly) {
  EXPECT_EQ(lower("AZ az[@`{ \xc3\x89"), "az az[@`{ \xc3\x89");
  EXPECT_EQ(upper("AZ az[@`{ \xc3\xa9"), "AZ AZ[@`{ \xc3\xa9");
}

TEST(Ascii, ComparesWithoutCase) {
  EXPECT_TRUE(iequals("StartTLS", "STARTTLS"));
  EXPECT_FALSE(iequals("a", "ab"));
  EXPECT_FALSE(iequals("@", "`"));
  EXPECT_FALSE(iequals("[", "{"));
  EXPECT_TRUE(istarts_with("Content-Type", "CONTENT-"));
  EXPECT_FALSE(istarts_with("Con", "Content-"));
}

TEST(Ascii, TrimsBlanksAndLineEnds) {
  EXPECT_EQ(trim(" \t\r\n a b \r\n"), "a b");
  EXPECT_EQ(trim(" \r\n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Ascii, KnowsItsClasses) {
  EXPECT_TRUE(is_ctl('\0') && is_ctl('\x1f') && is_ctl('\x7f'));
  EXPECT_FALSE(is_ctl(' ') || is_ctl('\x80'));
  EXPECT_TRUE(has_8bit("a\x80"));
  EXPECT_FALSE(has_8bit("a\x7f"));
  EXPECT_EQ(hex_value('f'), 15);
  EXPECT_EQ(hex_value('F'), 15);
  EXPECT_EQ(hex_value('g'), -1);
}

}  // namespace
}  // namespace postrider
