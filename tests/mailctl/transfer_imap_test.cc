// What other servers answer, and what is made of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mailctl/transfer/imap_answer.h"
#include "mailctl/transfer/imap_connection.h"

namespace postrider::mailctl {
namespace {

using store::Flags;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(TransferImap, Lists) {
  const auto sent = parse_list("* LIST (\\HasNoChildren \\Subscribed \\Sent) \".\" \"Sent Items\"");
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->wire, "Sent Items");
  EXPECT_EQ(sent->delimiter, ".");
  EXPECT_EQ(sent->special_use, "\\Sent");
  EXPECT_TRUE(sent->subscribed && sent->selectable);
  EXPECT_FALSE(parse_list("* LIST (\\NoSelect) \"/\" a")->selectable);
  EXPECT_EQ(parse_list("* LSUB () NIL {3}\r\na\\b")->wire, "a\\b");
  EXPECT_EQ(parse_list("* LIST () \"/\" a[b]")->wire, "a[b]");
  for (const char* text :
       {"* LIST", "* LIST (", "* LIST () \"/\"", "* LIST () \"//\" a", "* STATUS a ()", "* LIST () \"/\" \"a"})
    EXPECT_FALSE(parse_list(text)) << text;
}

TEST(TransferImap, Names) {
  const auto local = [](std::string wire, std::string delimiter, std::string_view prefix) {
    RemoteMailbox mailbox;
    mailbox.wire = std::move(wire);
    mailbox.delimiter = std::move(delimiter);
    return local_name(mailbox, prefix);
  };
  EXPECT_EQ(local("INBOX.A.B&APw-cher", ".", "INBOX."), "A/Bücher");
  EXPECT_EQ(local("inbox", ".", "INBOX."), "INBOX");
  EXPECT_EQ(local("A/B", ".", ""), "A_B");
  EXPECT_EQ(local("R&D", "/", ""), "R&D");
  EXPECT_EQ(local("A//B", "/", ""), std::nullopt);
  EXPECT_EQ(local("\xff", "/", ""), std::nullopt);
}

TEST(TransferImap, NamespacesSayWhatIsOnesOwn) {
  const auto found =
      parse_namespaces("* NAMESPACE ((\"INBOX.\" \".\")) ((\"~\" \"/\" \"X-A\" (\"b\"))) ((\"#shared/\" \"/\"))");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->personal, "INBOX.");
  EXPECT_THAT(found->foreign, ElementsAre("~", "#shared/"));
  EXPECT_TRUE(parse_namespaces("* NAMESPACE NIL NIL NIL")->personal.empty());
  EXPECT_FALSE(parse_namespaces("* NAMESPACE ((("));
}

TEST(TransferImap, Messages) {
  const auto message = parse_fetched(
      "* 12 FETCH (FLAGS (\\Seen \\Recent $Work \\Odd) UID 5 X-OTHER (a (\"b)\" c) NIL) MODSEQ (7) INTERNALDATE \" "
      "9-Sep-2001 01:46:40 +0000\" BODY[] \"\")");
  ASSERT_TRUE(message);
  EXPECT_EQ(message->uid, 5U);
  EXPECT_EQ(message->flags, Flags::kSeen);
  EXPECT_THAT(message->keywords, ElementsAre("$Work"));
  EXPECT_EQ(message->date, 1'000'000'000);
  for (const char* text : {"* 1 FETCH (UID 0)", "* 1 FETCH (UID", "* 1 FETCH (FLAGS (", "* 1 FETCH ()x(",
                           "* 1 FETCH (A ))", "* x FETCH (UID 1)", "* 1 FETCH (INTERNALDATE \"x\")", "* 1 EXISTS", ""})
    EXPECT_TRUE(!parse_fetched(text) || parse_fetched(text)->uid == 0) << text;
}

TEST(TransferImap, NumbersAndCodes) {
  EXPECT_EQ(parse_count("* 17 EXISTS", "EXISTS"), 17U);
  EXPECT_EQ(parse_count("* 17 EXPUNGE", "EXISTS"), std::nullopt);
  EXPECT_EQ(parse_code("* OK [UIDVALIDITY 5] x", "UIDVALIDITY"), 5U);
  EXPECT_EQ(parse_code("* OK [UIDNEXT 5] x", "UIDVALIDITY"), std::nullopt);
  EXPECT_THAT(*parse_capabilities("* capability imap4rev1 auth=plain"), HasSubstr(" AUTH=PLAIN "));
  EXPECT_EQ(literal_size("a BODY[] {17}"), 17U);
  EXPECT_EQ(literal_size("{99999999999999999999}"), std::nullopt);
  EXPECT_EQ(literal_size("}"), std::nullopt);
  EXPECT_EQ(literal_size("no"), std::nullopt);
}

TEST(TransferImap, ServersAndQuotedStrings) {
  EXPECT_EQ(parse_server("a.test", false, false).port, "993");
  EXPECT_EQ(parse_server("a.test", true, false).port, "143");
  EXPECT_EQ(parse_server("[::1]:1143", false, true).host, "::1");
  EXPECT_EQ(parse_server("[::1]:1143", false, true).port, "1143");
  EXPECT_EQ(parse_server("::1", false, true).host, "::1");
  EXPECT_THROW(parse_server("a:b", false, false), CommandFailed);
  EXPECT_THROW(parse_server(":993", false, false), CommandFailed);
  EXPECT_EQ(imap_quoted("a\"b\\"), "\"a\\\"b\\\\\"");
  EXPECT_EQ(imap_quoted("a\r\n"), std::nullopt);
}

}  // namespace
}  // namespace postrider::mailctl
