// Envelope addresses (RFC 5321 4.1.2, 4.1.3; RFC 6531), and everything that strangers have tried instead of them.
#include "common/mail/address.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

/// "local|domain" of a path, "null" for <>, or "error".
std::string reverse(std::string_view text, Utf8 utf8 = Utf8::refused) {
  auto path = parse_reverse_path(text, utf8);
  if (!path) return "error";
  return path->address ? path->address->local_part + "|" + path->address->domain : "null";
}

std::string forward(std::string_view text, Utf8 utf8 = Utf8::refused) {
  auto path = parse_forward_path(text, utf8);
  if (!path) return "error";
  return path->address ? path->address->local_part + "|" + path->address->domain : "null";
}

TEST(Path, TakesAMailbox) {
  EXPECT_EQ(reverse("<a@example.org>"), "a|example.org");
  EXPECT_EQ(reverse("<a.b+c=d/e{f}@Example.ORG>"), "a.b+c=d/e{f}|Example.ORG");
  EXPECT_EQ(forward("<a@localhost>"), "a|localhost");
}

TEST(Path, SaysHowMuchItTook) {
  auto path = parse_reverse_path("<a@b> SIZE=1", Utf8::refused);
  ASSERT_TRUE(path.has_value());
  EXPECT_EQ(path->size, 5U);
  EXPECT_EQ(parse_reverse_path("<> BODY=7BIT", Utf8::refused)->size, 2U);
  EXPECT_EQ(parse_reverse_path("<\"> x\"@b> y", Utf8::refused)->size, 9U);
}

TEST(Path, NullPathIsForMailFromOnly) {
  EXPECT_EQ(reverse("<>"), "null");
  EXPECT_EQ(forward("<>"), "error");
}

TEST(Path, PostmasterNeedsNoDomainAsRecipient) {
  EXPECT_EQ(forward("<postmaster>"), "postmaster|");
  EXPECT_EQ(forward("<PostMaster>"), "PostMaster|");
  EXPECT_EQ(forward("<other>"), "error");
  EXPECT_EQ(reverse("<postmaster>"), "error");
}

TEST(Path, SourceRouteIsReadAndDropped) {
  EXPECT_EQ(reverse("<@a,@b:c@d>"), "c|d");
  EXPECT_EQ(forward("<@a.example,@[192.0.2.1]:c@d>"), "c|d");
  for (const char* text :
       {"<@a,@b>", "<@a:>", "<@:c@d>", "<@a,:c@d>", "<@a,b:c@d>", "<@a@b:c@d>", "<@a,@b:c@d", "<@\r\n:c@d>"}) {
    EXPECT_EQ(reverse(text), "error") << text;
  }
  EXPECT_EQ(reverse("<@" + std::string(10'000, 'a') + ":c@d>"), "error");
}

TEST(Path, QuotedLocalPartIsUnquoted) {
  EXPECT_EQ(reverse("<\"a b\"@c>"), "a b|c");
  EXPECT_EQ(reverse("<\"a\\\"b\\\\c\"@d>"), "a\"b\\c|d");
  EXPECT_EQ(reverse("<\"a@b>c\"@d>"), "a@b>c|d");
  EXPECT_EQ(reverse("<\"..\"@d>"), "..|d");
}

TEST(Path, BrokenQuotingIsRefused) {
  for (const char* text :
       {"<\"\"@x>", "<\"a@x>", "<\"a\\\"@x>", "<\"a\\", "<a\"b\"@x>", "<\"a\"b@x>", "<a\\@b@x>", "<a\\>"}) {
    EXPECT_EQ(reverse(text), "error") << text;
  }
}

TEST(Path, LineEndsAndControlCharactersAreRefusedEvenQuoted) {
  for (std::string_view text : {"<\"a\r\nRCPT TO:<x@y>\"@d>", "<\"a\nb\"@d>", "<\"a\\\nb\"@d>", "<a\r@d>", "<a@d\r\n>",
                                "<\"\x7f\"@d>", "<\t@d>"}) {
    EXPECT_EQ(reverse(text), "error") << text;
  }
  EXPECT_EQ(reverse(std::string_view("<\"a\0b\"@d>", 10)), "error");
  EXPECT_EQ(reverse(std::string_view("<a@d\0>", 6)), "error");
}

TEST(Path, ShellCharactersAndPathsAreJustText) {
  EXPECT_EQ(reverse("<`id`|x/etc/passwd@d>"), "`id`|x/etc/passwd|d");
  EXPECT_EQ(reverse("<\"/../../etc/passwd\"@d>"), "/../../etc/passwd|d");
  EXPECT_EQ(reverse("</../../etc/passwd@d>"), "error");  // dots in a row
  EXPECT_EQ(reverse("<;id;@d>"), "error");
  EXPECT_EQ(reverse("<\"; rm -rf /;\"@d>"), "; rm -rf /;|d");
  EXPECT_EQ(reverse("<$(id)@d>"), "error");
}

TEST(Path, MalformedOnesAreRefused) {
  for (const char* text :
       {"",         "a@b",    "<",      "<a",       "<a@",     "<a@>",    "<@b>",     "<a@b",   "a@b>",
        "<a@b@c>",  "<.a@b>", "<a.@b>", "<a..b@c>", "<a b@c>", "< a@b>",  "<a@b >",   "<a@-b>", "<a@b->",
        "<a@b..c>", "<a@.b>", "<a@b.>", "<a@b c>",  "<a@b!c>", "<<a@b>>", "<a@b,c@d>"}) {
    EXPECT_EQ(reverse(text), "error") << text;
  }
}

TEST(Path, LengthsAreLimited) {
  EXPECT_EQ(reverse("<" + std::string(64, 'a') + "@b>"), std::string(64, 'a') + "|b");
  EXPECT_EQ(reverse("<" + std::string(65, 'a') + "@b>"), "error");
  EXPECT_EQ(reverse("<\"" + std::string(64, ' ') + "\"@b>"), std::string(64, ' ') + "|b");
  EXPECT_EQ(reverse("<a@" + std::string(63, 'b') + ">"), "a|" + std::string(63, 'b'));
  EXPECT_EQ(reverse("<a@" + std::string(64, 'b') + ">"), "error");
  std::string labels;
  while (labels.size() < 250) labels += "b.";
  EXPECT_NE(reverse("<a@" + labels + "cc>"), "error");   // 256 octets with the brackets
  EXPECT_EQ(reverse("<ab@" + labels + "cc>"), "error");  // 257
  EXPECT_EQ(reverse("<a@" + labels + "cccccc>"), "error");
  EXPECT_EQ(reverse("<" + std::string(1 << 20, 'a') + "@b>"), "error");
}

TEST(Path, Utf8NeedsItsOption) {
  EXPECT_EQ(reverse("<j\xc3\xb6rg@example.org>"), "error");
  EXPECT_EQ(reverse("<\"j\xc3\xb6rg\"@example.org>"), "error");
  EXPECT_EQ(reverse("<a@b\xc3\xbc"
                    "cher.example>"),
            "error");
  EXPECT_EQ(reverse("<j\xc3\xb6rg@example.org>", Utf8::allowed), "j\xc3\xb6rg|example.org");
  EXPECT_EQ(reverse("<\"j \xc3\xb6\"@example.org>", Utf8::allowed), "j \xc3\xb6|example.org");
  EXPECT_EQ(reverse("<a@b\xc3\xbc"
                    "cher.example>",
                    Utf8::allowed),
            "a|b\xc3\xbc"
            "cher.example");
}

TEST(Path, InvalidUtf8IsRefused) {
  for (const char* octets : {"\xc3", "\xff", "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_EQ(reverse("<a" + std::string(octets) + "@b>", Utf8::allowed), "error");
    EXPECT_EQ(reverse("<\"a" + std::string(octets) + "\"@b>", Utf8::allowed), "error");
    EXPECT_EQ(reverse("<a@b" + std::string(octets) + ">", Utf8::allowed), "error");
  }
}

TEST(Path, AddressLiterals) {
  EXPECT_EQ(reverse("<a@[192.0.2.1]>"), "a|[192.0.2.1]");
  EXPECT_EQ(reverse("<a@[IPv6:2001:db8::1]>"), "a|[IPv6:2001:db8::1]");
  for (const char* literal :
       {"[]", "[1.2.3]", "[1.2.3.4.5]", "[1.2.3.256]", "[01.2.3.4]", "[2001:db8::1]", "[IPv6:1.2.3.4]", "[IPv6:]",
        "[IPv6:g::1]", "[IPv6:::1", "[x-tag:content]", "[1.2.3.4", "[ 1.2.3.4]", "[1.2.3.4]x"}) {
    EXPECT_EQ(reverse("<a@" + std::string(literal) + ">"), "error") << literal;
  }
}

TEST(Mailbox, IsTheWholeText) {
  EXPECT_EQ(parse_mailbox("a@b", Utf8::refused)->to_string(), "a@b");
  EXPECT_FALSE(parse_mailbox("a@b ", Utf8::refused));
  EXPECT_FALSE(parse_mailbox("<a@b>", Utf8::refused));
  EXPECT_FALSE(parse_mailbox("postmaster", Utf8::refused));
  EXPECT_FALSE(parse_mailbox("", Utf8::refused));
}

TEST(Mailbox, IsWrittenWithTheQuotesItNeeds) {
  for (const char* text : {"a@b", "\"a b\"@c", "\"a\\\"b\"@c", "\"a\\\\\"@c", "\".a\"@c", "\"a.\"@c", "\"a..b\"@c",
                           "\"a@b\"@c", "a.b@[192.0.2.1]"}) {
    auto address = parse_mailbox(text, Utf8::refused);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  EXPECT_EQ(parse_mailbox("\"plain\"@c", Utf8::refused)->to_string(), "plain@c");
  EXPECT_EQ((Address{"postmaster", ""}.to_string()), "postmaster");
  EXPECT_EQ((Address{"a\r\nb", "c"}.to_string()), "\"ab\"@c");
}

TEST(Mailbox, KnowsWhetherItNeedsSmtputf8) {
  EXPECT_FALSE((Address{"a", "b"}.needs_utf8()));
  EXPECT_TRUE((Address{"\xc3\xb6", "b"}.needs_utf8()));
  EXPECT_TRUE((Address{"a", "\xc3\xb6"}.needs_utf8()));
}

TEST(Domain, IsNormalisedToLowerCaseALabels) {
  EXPECT_EQ(normalize_domain("Example.ORG").value(), "example.org");
  EXPECT_EQ(normalize_domain("B\xc3\x9c"
                             "CHER.example")
                .value(),
            "xn--bcher-kva.example");
  EXPECT_EQ(normalize_domain("XN--BCHER-KVA.example").value(), "xn--bcher-kva.example");
  EXPECT_EQ(normalize_domain("stra\xc3\x9f"
                             "e.example")
                .value(),
            "xn--strae-oqa.example");
  EXPECT_EQ(normalize_domain("_dmarc.example").value(), "_dmarc.example");
}

TEST(Domain, ULabelAndALabelAreOneDomain) {
  EXPECT_TRUE(
      same_domain("b\xc3\xbc"
                  "cher.example",
                  "xn--bcher-kva.EXAMPLE"));
  EXPECT_TRUE(
      same_domain("bu\xcc\x88"
                  "cher.example",
                  "b\xc3\xbc"
                  "cher.example"));  // composed and decomposed
  EXPECT_TRUE(same_domain("a.example", "A.EXAMPLE"));
  EXPECT_FALSE(same_domain("a.example", "b.example"));
  EXPECT_FALSE(same_domain("not a domain", "not a domain"));
}

TEST(Domain, PunycodeThatDoesNotDecodeIsRefused) {
  for (const char* domain : {"xn--99999999999999999999.example", "xn--a.example", "xn--.example", "xn--ls8h=.example",
                             "xn--\xc3\xbc.example"}) {
    EXPECT_FALSE(normalize_domain(domain).has_value()) << domain;
  }
}

TEST(Domain, BadOnesAreRefused) {
  std::string long_u_label;
  for (int i = 0; i < 60; ++i) long_u_label += "\xc3\xbc";
  for (const std::string& domain :
       {std::string(), std::string("."), std::string("a..b"), std::string("a."), std::string("-a"), std::string("a b"),
        std::string("a\0b", 3), std::string(64, 'a'), std::string(256, 'a'), std::string("\xff\xfe"),
        long_u_label + ".example", std::string("\xc3\xbc b"), std::string("[1.2.3]")}) {
    EXPECT_FALSE(normalize_domain(domain).has_value()) << domain;
  }
}

TEST(Domain, AddressLiteralsHaveOneSpelling) {
  EXPECT_EQ(normalize_domain("[IPV6:2001:DB8:0:0:0:0:0:1]").value(), "[IPv6:2001:db8::1]");
  EXPECT_EQ(normalize_domain("[192.0.2.1]").value(), "[192.0.2.1]");
  EXPECT_TRUE(same_domain("[ipv6:2001:db8::1]", "[IPv6:2001:DB8::0001]"));
  EXPECT_EQ(address_literal_ip("[IPv6:2001:DB8::1]"), "2001:db8::1");
  EXPECT_EQ(address_literal_ip("192.0.2.1"), std::nullopt);
}

}  // namespace
}  // namespace postrider
