#include "common/net/compression.h"

#include <gtest/gtest.h>

namespace postrider::net {
namespace {

constexpr size_t kRoom = 1'000;

/// All that comes out, in portions of at most kRoom; "(broken)" behind what came before.
std::string drain(Compression& from) {
  std::string out;
  for (;;) {
    std::string piece;
    auto result = from.inflate(kRoom, piece);
    EXPECT_LE(piece.size(), kRoom);
    out += piece;
    if (result == Compression::Inflated::broken) return out + "(broken)";
    if (result == Compression::Inflated::nothing) return out;
  }
}

TEST(Compression, GivesBackWhatWasSaid) {
  Compression here, there;
  std::string lines;
  for (int i = 0; i < 5'000; ++i) lines += "* " + std::to_string(i * 7919) + " FETCH (FLAGS (\\Seen))\r\n";
  for (const std::string& text : {std::string("a NOOP\r\n"), lines, std::string("x"), std::string(70'000, 'y')}) {
    std::string compressed;
    here.compress(text, compressed);
    there.feed(compressed);
    EXPECT_TRUE(drain(there) == text);
  }
  std::string compressed;
  here.compress(lines, compressed);
  EXPECT_LT(compressed.size(), lines.size() / 4);
}

TEST(Compression, WorksOctetByOctet) {
  Compression here, there;
  std::string compressed, out;
  here.compress("a LOGIN alice secret\r\n", compressed);
  for (char octet : compressed) {
    there.feed(std::string_view(&octet, 1));
    out += drain(there);
  }
  EXPECT_EQ(out, "a LOGIN alice secret\r\n");
}

/// A bomb takes no more memory than was asked for: the rest stays compressed.
TEST(Compression, GivesNoMoreThanThereIsRoomFor) {
  Compression here, there;
  std::string compressed;
  here.compress(std::string(50 << 20, '\0'), compressed);
  EXPECT_LT(compressed.size(), 1u << 20);
  there.feed(compressed);
  std::string out;
  EXPECT_EQ(there.inflate(kRoom, out), Compression::Inflated::some);
  EXPECT_EQ(out.size(), kRoom);
}

TEST(Compression, NoticesWhatIsNoDeflate) {
  Compression there;
  there.feed("\x07 b NOOP\r\n");  // a block of a kind that there is not
  EXPECT_TRUE(drain(there).ends_with("(broken)"));
}

}  // namespace
}  // namespace postrider::net
