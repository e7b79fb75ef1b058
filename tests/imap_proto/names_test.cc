// Mailbox names, list patterns and sequence sets.
#include <gtest/gtest.h>

#include <chrono>

#include "imapd/proto/list_pattern.h"
#include "imapd/proto/mailbox_name.h"
#include "imapd/proto/sequence_set.h"

namespace postrider::imap {
namespace {

struct NamePair {
  const char* wire;
  const char* utf8;
};
constexpr NamePair kNames[] = {
    {"INBOX", "INBOX"},
    {"", ""},
    {"R&-D", "R&D"},
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},  // the example of RFC 3501 5.1.3
    {"Entw&APw-rfe", "Entwürfe"},
    {"&2D3eAA-", "😀"},
    {"&AOQA9gD8-", "äöü"},
    {"&AOQ-&-&AOQ-", "ä&ä"},
    {"a+b,c", "a+b,c"},
};

TEST(ModifiedUtf7, GoesBothWays) {
  for (const NamePair& pair : kNames) {
    EXPECT_EQ(decode_utf7(pair.wire), pair.utf8) << pair.wire;
    EXPECT_EQ(encode_utf7(pair.utf8), pair.wire) << pair.utf8;
  }
}

TEST(ModifiedUtf7, RefusesWhatHasAnotherSpelling) {
  for (const char* wire : {
           "&",           // no end
           "&AOQ",        // no end
           "&AOQ*-",      // not base64
           "&AGE-",       // "a" has to be itself
           "&ACY-",       // "&" has to be "&-"
           "&AOQ-&APw-",  // one run cut in two
           "&AOR-",       // padding bits set
           "&AOQA-",      // half a unit
           "&2D0-",       // high surrogate alone
           "&3gA-",       // low surrogate alone
           "&AAo-",       // line feed
           "&AI8-",       // a control of the second kind
           "&ICg-",       // line separator
           "Entw\xc3\xbcrfe",
           "a\tb",
           "a\x7f",
       }) {
    EXPECT_EQ(decode_utf7(wire), std::nullopt) << wire;
  }
}

TEST(ModifiedUtf7, NeverWritesInvalidUtf8AsItIs) {
  EXPECT_EQ(encode_utf7("a\xff"), "a&,,0-");
}

TEST(Utf8Name, RefusesOverlongFormsSurrogatesAndControls) {
  EXPECT_TRUE(is_utf8_name("Entwürfe/日本語/😀"));
  for (const char* bad :
       {"\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\nb", "\x7f", "\xc2\x85", "\xc3", "\x80"}) {
    EXPECT_FALSE(is_utf8_name(bad)) << bad;
  }
}

TEST(CanonicalMailbox, WritesInboxInCapitals) {
  EXPECT_EQ(canonical_mailbox("inBox"), "INBOX");
  EXPECT_EQ(canonical_mailbox("inbox/Sub"), "INBOX/Sub");
  EXPECT_EQ(canonical_mailbox("inboxes"), "inboxes");
  EXPECT_EQ(canonical_mailbox("Work/inbox"), "Work/inbox");
}

struct PatternCase {
  const char* reference;
  const char* pattern;
  const char* name;
  bool matches;
};
constexpr PatternCase kPatterns[] = {
    {"", "*", "a/b/c", true},
    {"", "%", "a", true},
    {"", "%", "a/b", false},
    {"", "%/%", "a/b", true},
    {"", "a/%", "a/b", true},
    {"", "a/%", "a", false},
    {"", "a*", "a/b", true},
    {"a/", "%", "a/b", true},
    {"a/", "/b", "/b", true},
    {"", "*c", "a/b/c", true},
    {"", "%c", "a/b/c", false},
    {"", "a%d", "abcd", true},
    {"", "a%d", "ab/cd", false},
    {"", "a*d", "ab/cd", true},
    {"", "%*", "a/b", true},
    {"", "*%", "a/b", true},
    {"", "", "", true},
    {"", "", "a", false},
    {"", "inbox", "INBOX", true},
    {"", "inb%", "INBOX", true},
    {"", "inbox/sub", "INBOX/sub", true},
    {"", "inbox/SUB", "INBOX/sub", false},
    {"", "A", "a", false},
    {"", "*/x/%", "a/b/x/c", true},
    {"", "Entw%", "Entwürfe", true},
};

TEST(ListPattern, MatchesAsRfc3501Says) {
  for (const PatternCase& c : kPatterns) {
    EXPECT_EQ(ListPattern(c.reference, c.pattern).matches(c.name), c.matches)
        << c.reference << " " << c.pattern << " " << c.name;
  }
}

TEST(ListPattern, TakesNoLongerForAHostilePattern) {
  std::string pattern, name(1'000, 'a');
  for (int i = 0; i < 200; ++i) pattern += "%a*";
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(ListPattern("", pattern + "b").matches(name));
  EXPECT_TRUE(ListPattern("", pattern).matches(name));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST(SequenceSet, PutsTheGreatestNumberForAStar) {
  SequenceSet set{{{559, kStar}}};
  EXPECT_EQ(set.resolve(600), (NumberRanges{{559, 600}}));
  EXPECT_EQ(set.resolve(100), (NumberRanges{{100, 559}})) << "RFC 3501 6.4.8: always with the last message";
  EXPECT_EQ(set.resolve(0), NumberRanges{});
}

TEST(SequenceSet, SortsAndJoins) {
  SequenceSet set{{{5, 5}, {4, 2}, {1, 1}, {4294967295, 4294967295}, {9, 7}}};
  EXPECT_EQ(set.resolve(10), (NumberRanges{{1, 5}, {7, 9}, {4294967295, 4294967295}}));
  EXPECT_EQ(format_set(set.resolve(10)), "1:5,7:9,4294967295");
}

}  // namespace
}  // namespace postrider::imap
