#include "imapd/proto/writer.h"

#include <gtest/gtest.h>

namespace postrider::imap {
namespace {

template <class... Args>
std::string written(void (*append)(std::string&, Args...), std::type_identity_t<Args>... args) {
  std::string out;
  append(out, args...);
  return out;
}

TEST(Writer, QuotesWhatCanBeQuotedAndSendsTheRestAsLiterals) {
  EXPECT_EQ(written(append_string, ""), "\"\"");
  EXPECT_EQ(written(append_string, "a \"b\" \\c"), "\"a \\\"b\\\" \\\\c\"");
  EXPECT_EQ(written(append_string, "a\r\nb"), "{4}\r\na\r\nb");
  EXPECT_EQ(written(append_string, "\xc3\xa4"), "{2}\r\n\xc3\xa4");
  EXPECT_EQ(written(append_string, std::string(5'000, 'x')).substr(0, 8), "{5000}\r\n");
}

TEST(Writer, WritesAnAtomWhereOneIsEnough) {
  EXPECT_EQ(written(append_astring, "INBOX"), "INBOX");
  EXPECT_EQ(written(append_astring, "a b"), "\"a b\"");
  EXPECT_EQ(written(append_astring, ""), "\"\"");
  EXPECT_EQ(written(append_astring, "nil"), "\"nil\"") << "a word that means nothing at all";
  EXPECT_EQ(written(append_astring, "50%"), "\"50%\"");
  EXPECT_EQ(written(append_astring, "a[1"), "\"a[1\"") << "an atom, but not one that every client reads";
}

TEST(Writer, WritesMailboxNamesInModifiedUtf7UntilUtf8IsEnabled) {
  EXPECT_EQ(written(append_mailbox, "Entwürfe", false), "Entw&APw-rfe");
  EXPECT_EQ(written(append_mailbox, "Entwürfe", true), "\"Entwürfe\"");
  EXPECT_EQ(written(append_mailbox, "My Mail", false), "\"My Mail\"");
}

TEST(Writer, WritesFlagsWithKeywords) {
  std::string out;
  append_flags(out, flag::kSeen | flag::kDraft | (1u << 9), {"$Junk", "$Forwarded"}, 8, true);
  EXPECT_EQ(out, "(\\Seen \\Draft $Forwarded \\Recent)");
  out.clear();
  append_flags(out, 0, {}, 8, false);
  EXPECT_EQ(out, "()");
}

TEST(Writer, WritesOnlyTheStatusItemsAskedFor) {
  StatusValues values;
  values.messages = 3;
  values.uid_next = 7;
  EXPECT_EQ(written(append_status, kStatusMessages | kStatusUidNext, values), "(MESSAGES 3 UIDNEXT 7)");
}

TEST(Writer, KeepsTextOnOneLine) {
  EXPECT_EQ(written(append_text, "a\r\nb \xc3"), "a??b ?");
  EXPECT_EQ(written(append_text, "[a"), " [a") << "no response code";
}

}  // namespace
}  // namespace postrider::imap
