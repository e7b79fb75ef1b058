#include "common/config/route.h"

#include <gtest/gtest.h>

namespace postrider::config {
namespace {

using Protocol = RouteTarget::Protocol;

TEST(ParseRoute, ReadsEveryKind) {
  EXPECT_EQ(parse_route("mx.Internal:25").value(), (RouteTarget{Protocol::smtp, "mx.internal", 25, ""}));
  EXPECT_EQ(parse_route("smtp:mx.internal:25").value(), (RouteTarget{Protocol::smtp, "mx.internal", 25, ""}));
  EXPECT_EQ(parse_route("[2001:db8::1]:2525").value(), (RouteTarget{Protocol::smtp, "2001:db8::1", 2525, ""}));
  EXPECT_EQ(parse_route("smtps:mail.example.org:465").value(),
            (RouteTarget{Protocol::smtps, "mail.example.org", 465, ""}));
  EXPECT_EQ(parse_route("LMTP:127.0.0.1:24").value(), (RouteTarget{Protocol::lmtp, "127.0.0.1", 24, ""}));
  EXPECT_EQ(parse_route(" lmtp:/run/Store.sock ").value(), (RouteTarget{Protocol::lmtp, "", 0, "/run/Store.sock"}));
}

TEST(ParseRoute, SaysWhatIsWrong) {
  for (const char* text : {"", "mx.internal", "mx.internal:0", "mx.internal:99999", ":25", "a:25 tls=",
                           "a:25 tls=always", "a:25 verified", "lmtp:", "smtps:", "lmtp:host", "2001:db8::1:25"}) {
    EXPECT_FALSE(parse_route(text)) << text;
  }
  EXPECT_NE(parse_route("/run/store.sock").error().message.find("lmtp:/run/store.sock"), std::string::npos);
  EXPECT_FALSE(parse_route("lmtp:/" + std::string(107, 'x'))) << "no socket has such a name";
}

TEST(ParseRoute, IsWrittenAsItIsRead) {
  for (const char* text : {"mx.internal:25", "mx.internal:25 tls=verified", "lmtp:[::1]:24 tls=encrypted",
                           "[2001:db8::1]:25", "smtps:a:465", "lmtp:[::1]:24", "lmtp:/run/store.sock"}) {
    EXPECT_EQ(to_string(parse_route(text).value()), text);
  }
}

TEST(ParseTlsLevel, ReadsItsThreeWords) {
  for (TlsLevel level : {TlsLevel::opportunistic, TlsLevel::encrypted, TlsLevel::verified}) {
    EXPECT_EQ(parse_tls_level(to_string(level)).value(), level);
  }
  EXPECT_FALSE(parse_tls_level(""));
  EXPECT_FALSE(parse_tls_level("none"));
}

TEST(ParseLimits, ReadsWhatIsThere) {
  auto limits = parse_limits("  messages_per_minute=300  connections=4 ").value();
  EXPECT_EQ(limits.connections, 4u);
  EXPECT_EQ(limits.messages_per_connection, 0u);
  EXPECT_EQ(limits.messages_per_minute, 300u);
  EXPECT_EQ(parse_limits("messages_per_connection=1")->messages_per_connection, 1u);
}

TEST(ParseLimits, SaysWhatIsWrong) {
  for (const char* text : {"connections", "connections=", "connections=0", "connections=x", "connections=1000001",
                           "speed=3", "connections=1,messages_per_minute=2"}) {
    EXPECT_FALSE(parse_limits(text)) << text;
  }
}

}  // namespace
}  // namespace postrider::config
