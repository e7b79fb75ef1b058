#include "common/smtp/line_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "common/smtp/xtext.h"

namespace postrider::smtp {
namespace {

using namespace std::string_literals;
using Status = LineReader::Status;

/// What comes out of a stream that arrives in two pieces: "line:NOOP too_long ...".
std::string read(std::string_view stream, size_t cut, size_t limit = 20) {
  LineReader reader(limit);
  std::string buffer, seen;
  for (auto piece : {stream.substr(0, cut), stream.substr(cut)}) {
    buffer += piece;
    for (;;) {
      const auto line = reader.next(buffer);
      if (line.status == Status::line) seen += "line:" + std::string(line.text) + ' ';
      if (line.status == Status::bare) seen += "bare ";
      if (line.status == Status::too_long) seen += "too_long ";
      buffer.erase(0, line.taken);
      if (line.status == Status::incomplete) break;
    }
    EXPECT_LE(buffer.size(), limit);
  }
  return seen;
}

std::string read_at_every_split(std::string_view stream) {
  const auto whole = read(stream, stream.size());
  for (size_t cut = 0; cut < stream.size(); ++cut) EXPECT_EQ(read(stream, cut), whole) << "split at " << cut;
  return whole;
}

TEST(LineReader, GivesOneLineAfterTheOther) {
  EXPECT_EQ(read_at_every_split("NOOP\r\n\r\nQUIT\r\n"), "line:NOOP line: line:QUIT ");
}

TEST(LineReader, AnUnfinishedLineIsNoLine) {
  EXPECT_EQ(read_at_every_split("NOOP\r"), "");
}

TEST(LineReader, SkipsALineThatIsTooLongToItsEnd) {
  EXPECT_EQ(read_at_every_split(std::string(19, 'x') + "\r\nNOOP\r\n"), "too_long line:NOOP ");
  EXPECT_EQ(read_at_every_split(std::string(18, 'x') + "\r\nNOOP\r\n"), "line:" + std::string(18, 'x') + " line:NOOP ");
  EXPECT_EQ(read_at_every_split(std::string(100, 'x') + "\r\nNOOP\r\n"), "too_long line:NOOP ");
}

TEST(LineReader, ABareCrOrNulSpoilsItsLineOnly) {
  EXPECT_EQ(read_at_every_split("NO\rOP\r\nQUIT\r\n"), "bare line:QUIT ");
  EXPECT_EQ(read_at_every_split("NO\0OP\r\nQUIT\r\n"s), "bare line:QUIT ");
}

TEST(LineReader, ABareLfTakesTheRestOfTheLineWithIt) {
  const std::string_view stream = "NOOP\nRCPT\r\nQUIT\r\n";
  EXPECT_EQ(read(stream, stream.size()), "bare line:QUIT ");
  EXPECT_EQ(read("NOOP\n", 5), "bare ");  // answered at once
}

TEST(Xtext, GoesThereAndBack) {
  EXPECT_EQ(xtext_encode("a+b=c d\xC3"), "a+2Bb+3Dc+20d+C3");
  std::string all;
  for (int octet = 0; octet < 256; ++octet) all += static_cast<char>(octet);
  EXPECT_EQ(xtext_decode(xtext_encode(all)), all);
}

TEST(Xtext, RefusesWhatIsNone) {
  for (std::string_view text : {"a=b", "a b", "+", "a+2", "+2b", "+GG", "+-1", "\xC3\xA9", "\x7f"}) {
    EXPECT_FALSE(xtext_decode(text)) << text;
  }
}

}  // namespace
}  // namespace postrider::smtp
