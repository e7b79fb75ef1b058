#include "common/milter/protocol.h"

#include <gtest/gtest.h>

namespace postrider::milter {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Kind = Response::Kind;

std::string u32(uint32_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xff);
  return out;
}

TEST(MilterProtocol, PacketsAreLengthLetterAndData) {
  std::string out;
  append_packet(out, Command::body, "abc");
  EXPECT_EQ(out, "\0\0\0\4Babc"s);
  out.clear();
  append_connect(out, "mx.example", "192.0.2.7", 0x1234);
  EXPECT_EQ(out, u32(25) +
                     "Cmx.example\0"
                     "4\x12\x34"
                     "192.0.2.7\0"s);
  out.clear();
  append_connect(out, "[2001:db8::7]", "2001:db8::7", 25);
  EXPECT_NE(out.find("\0"
                     "6\0\x19"
                     "2001:db8::7\0"s),
            std::string::npos);
  out.clear();
  append_strings(out, Command::mail, {"<a@b>", "SIZE=5"});
  EXPECT_EQ(out, u32(14) + "M<a@b>\0SIZE=5\0"s);
}

TEST(MilterProtocol, ANulWithinATextEndsIt) {
  std::string out;
  append_field(out, "Subject", "a\0b"sv);
  EXPECT_EQ(out, u32(11) + "LSubject\0a\0"s);
}

TEST(MilterProtocol, MacrosOfAStageHaveValuesOrAreNotSent) {
  const Macros macros{{"i", "ID"}, {"{auth_authen}", ""}, {"{mail_addr}", "a@b"}, {"{other}", "x"}};
  std::string out;
  append_macros(out, Command::mail, Stage::mail, {}, macros);
  EXPECT_EQ(out.substr(4), "DMi\0ID\0{mail_addr}\0a@b\0"s);
  out.clear();
  append_macros(out, Command::mail, Stage::mail, {"{other}", "{unknown}"}, macros);
  EXPECT_EQ(out.substr(4), "DM{other}\0x\0"s);
}

TEST(MilterProtocol, PacketsAreReadByteByByte) {
  const std::string whole = "\0\0\0\3hab"s;
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(read_packet(std::string_view(whole).substr(0, size)).status, Packet::Status::incomplete) << size;
  const Packet packet = read_packet(whole + "more");
  EXPECT_EQ(packet.status, Packet::Status::complete);
  EXPECT_EQ(packet.letter, 'h');
  EXPECT_EQ(packet.taken, 7u);
  EXPECT_EQ(read_packet("\0\0\0\0"sv).status, Packet::Status::malformed);
  EXPECT_EQ(read_packet("\xff\xff\xff\xff"sv).status, Packet::Status::malformed);
}

TEST(MilterProtocol, NegotiationKeepsToWhatWasOffered) {
  const auto good = parse_negotiation(u32(6) + u32(kAddFields) + u32(kNoBody | kLeadingSpace));
  ASSERT_TRUE(good);
  EXPECT_EQ(good->actions, uint32_t{kAddFields});
  const auto chosen = parse_negotiation(u32(6) + u32(0) + u32(0) + u32(2) + "i {client_addr}, j\0"s);
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->symbols[2], (std::vector<std::string>{"i", "{client_addr}", "j"}));
  EXPECT_FALSE(parse_negotiation(""));
  EXPECT_FALSE(parse_negotiation(u32(6) + u32(0)));
  EXPECT_FALSE(parse_negotiation(u32(7) + u32(0) + u32(0)));
  EXPECT_FALSE(parse_negotiation(u32(1) + u32(0) + u32(0)));
  EXPECT_FALSE(parse_negotiation(u32(6) + u32(0x200) + u32(0)));
  EXPECT_FALSE(parse_negotiation(u32(6) + u32(0) + u32(0x20'0000)));
  EXPECT_FALSE(parse_negotiation(u32(6) + u32(0) + u32(0) + u32(7) + "i\0"s));
  EXPECT_FALSE(parse_negotiation(u32(6) + u32(0) + u32(0) + u32(1) + "i"));
}

TEST(MilterProtocol, CustomReplies) {
  const auto reply = [](std::string_view text) {
    const auto response = parse_response('y', text);
    return response ? smtp::format_reply(response->reply) : std::string("none");
  };
  EXPECT_EQ(reply("554 5.7.9 no\0"sv), "554 5.7.9 no\r\n");
  EXPECT_EQ(reply("554 no"), "554 5.7.1 no\r\n");
  EXPECT_EQ(reply("450 4.7.0 100%% later"), "450 4.7.0 100% later\r\n");
  EXPECT_EQ(reply("554-5.7.9 one\r\n554 5.7.9 two"), "554-5.7.9 one\r\n554 5.7.9 two\r\n");
  EXPECT_EQ(reply("250 fine"), "none");
  EXPECT_EQ(reply("5"), "none");
  EXPECT_EQ(reply(""), "none");
  EXPECT_EQ(reply("421"), "421 4.7.1 \r\n");
}

TEST(MilterProtocol, ChangesAreParsed) {
  const auto inserted = parse_response('i', u32(3) + "X-A\0value\0"s);
  ASSERT_TRUE(inserted);
  EXPECT_EQ(inserted->kind, Kind::insert_field);
  EXPECT_EQ(inserted->index, 3u);
  EXPECT_EQ(inserted->name, "X-A");
  EXPECT_EQ(inserted->value, "value");
  EXPECT_FALSE(parse_response('i', "\0\0"sv));
  EXPECT_FALSE(parse_response('h', "X-A\0value"sv));
  EXPECT_FALSE(parse_response('h', "X A\0value\0"sv));
  EXPECT_FALSE(parse_response('h', "X:A\0value\0"sv));
  EXPECT_FALSE(parse_response('h', "X\r\nA\0value\0"sv));
  EXPECT_FALSE(parse_response('h', "\0value\0"sv));
  EXPECT_FALSE(parse_response('h', "X\0"s + std::string(70'000, 'x') + '\0'));
  EXPECT_EQ(parse_response('2', "<a@b>\0NOTIFY=NEVER\0"sv)->value, "NOTIFY=NEVER");
  EXPECT_FALSE(parse_response('+', "<a@b>"));
  EXPECT_EQ(parse_response('q', "why\0"sv)->value, "why");
  EXPECT_EQ(parse_response('b', "a\0b"sv)->value, "a\0b"sv);
  EXPECT_FALSE(parse_response('O', ""));
  EXPECT_FALSE(parse_response('\0', ""));
}

}  // namespace
}  // namespace postrider::milter
