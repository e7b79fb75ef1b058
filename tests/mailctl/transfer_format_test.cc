// What exports and imports read and write: names, keywords, line ends and mbox, in pieces of any size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/mail/date.h"
#include "mailctl/transfer/importer.h"
#include "mailctl/transfer/keywords.h"
#include "mailctl/transfer/line_ends.h"
#include "mailctl/transfer/mbox_format.h"
#include "mailctl/transfer/names.h"

namespace postrider::mailctl {
namespace {

using store::Flags;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(TransferNames, MailboxesComeBackFromMaildirFolders) {
  EXPECT_EQ(maildir_folder("INBOX"), "");
  EXPECT_EQ(maildir_folder("Projects/Alpha"), ".Projects.Alpha");
  EXPECT_EQ(maildir_folder("Bücher"), ".B&APw-cher");
  EXPECT_EQ(maildir_folder("v1.2/a"), ".v1&AC4-2.a");
  EXPECT_EQ(mailbox_path("v1.2/a"), "v1&AC4-2/a");
  for (const char* name :
       {"Projects/Alpha", "Bücher", "v1.2", "..", "ü.ö", "a&b", "&AC4-", "&", "日本.語/x.", "Trash"}) {
    EXPECT_EQ(maildir_mailbox(maildir_folder(name)), name);
  }
}

TEST(TransferNames, ReadsWhatOthersWrite) {
  EXPECT_EQ(level_from_disk("Bücher"), "Bücher");
  EXPECT_EQ(level_from_disk("R&D"), "R&D");
  EXPECT_EQ(level_from_disk("\xff"), std::nullopt);
  EXPECT_EQ(level_from_disk(""), std::nullopt);
  EXPECT_EQ(maildir_mailbox(".A..B"), std::nullopt);
  EXPECT_EQ(maildir_mailbox("A"), std::nullopt);
  EXPECT_EQ(maildir_mailbox(".inbox.Sub"), "INBOX/Sub");
}

TEST(TransferNames, FlagsAreInTheNamesOfFiles) {
  const MaildirName name = parse_maildir_name("1700000000.M1P2.host,S=12:2,DFRSTPab");
  EXPECT_EQ(name.unique, "1700000000.M1P2.host,S=12");
  EXPECT_EQ(name.flags, Flags::kDraft | Flags::kFlagged | Flags::kAnswered | Flags::kSeen | Flags::kDeleted);
  EXPECT_TRUE(name.forwarded);
  EXPECT_THAT(std::string(name.info), HasSubstr("ab"));
  EXPECT_EQ(parse_maildir_name("1.host").flags, 0U);
  EXPECT_EQ(parse_maildir_name("1.host:2,").unique, "1.host");
  EXPECT_EQ(maildir_info(Flags::kSeen | Flags::kFlagged, "cb"), ":2,FSbc");
  EXPECT_EQ(maildir_info(0, ""), ":2,");
}

TEST(TransferNames, AnExportedMessageIsFoundAgain) {
  const std::string name = exported_name(1'700'000'000, 77, 5, "a/b:c@example.org");
  EXPECT_EQ(name, "1700000000.V77U5.a_b_c@example.org");
  EXPECT_EQ(exported_uid(name, 77), 5U);
  EXPECT_EQ(exported_uid(name, 78), std::nullopt);
  EXPECT_EQ(exported_uid("1700000000.M1P2.host", 77), std::nullopt);
  EXPECT_EQ(exported_uid("1700000000.V77U5.a.V78U6.b@example.test", 78), std::nullopt) << "the address looks like one";
}

TEST(TransferKeywords, OfDovecot) {
  const auto names = parse_keywords_file("0 $Forwarded\n2 Junk\n26 Late\n3 not\\good\nx y\n4\n");
  EXPECT_EQ(names[0], "$Forwarded");
  EXPECT_EQ(names[1], "");
  EXPECT_EQ(names[2], "Junk");
  EXPECT_EQ(names[3], "");
  EXPECT_EQ(format_keywords_file(names), "0 $Forwarded\n2 Junk\n");
  EXPECT_FALSE(is_keyword("\\Seen"));
  EXPECT_FALSE(is_keyword("two words"));
}

TEST(TransferKeywords, Subscriptions) {
  EXPECT_EQ(format_subscriptions({"INBOX", "A/B", "ü"}), "INBOX\nA.B\n&APw-\n");
  EXPECT_THAT(parse_subscriptions("INBOX\nA.B\n&APw-\n"), ElementsAre("INBOX", "A/B", "ü"));
  EXPECT_THAT(parse_subscriptions("INBOX.A.B\n"), ElementsAre("A/B"));
  EXPECT_THAT(parse_subscriptions("V\t2\n\nINBOX\nA\tB\n"), ElementsAre("INBOX", "A/B"));
}

TEST(TransferLineEnds, WhateverThePieces) {
  const std::string text = "a\nb\r\nc\rd\r\r\n\n";
  for (size_t size = 1; size <= text.size(); ++size) {
    ToCrlf to_crlf;
    ToLf to_lf;
    std::string crlf, lf;
    for (size_t at = 0; at < text.size(); at += size) to_crlf.append(text.substr(at, size), crlf);
    EXPECT_EQ(crlf, "a\r\nb\r\nc\rd\r\r\n\r\n");
    for (size_t at = 0; at < crlf.size(); at += size) to_lf.append(crlf.substr(at, size), lf);
    to_lf.finish(lf);
    EXPECT_EQ(lf, "a\nb\nc\rd\r\n\n");
  }
  ToLf to_lf;
  std::string out;
  to_lf.append("end\r", out);
  to_lf.finish(out);
  EXPECT_EQ(out, "end\r");
}

TEST(TransferKey, IsNegativeAndItsOwn) {
  TransferKey one, other, same;
  one.part("ab").part("c");
  other.part("a").part("bc");
  same.part("ab");
  same.part("c");
  const int64_t key = one.value();
  EXPECT_LT(key, 0);
  EXPECT_LT(other.value(), 0);
  EXPECT_EQ(key, same.value());
  EXPECT_NE(key, TransferKey().part("a").part("bc").value());
}

/// All that an mbox holds, as text.
class Collected : public MboxVisitor {
 public:
  struct Message {
    std::string from, text;
    UnixTime date;
    uint64_t flags;
    std::vector<std::string> keywords;
    bool folder_data;
  };
  void begin(std::string_view from_line, UnixTime date) override {
    messages.push_back({std::string(from_line), "", date, 0, {}, false});
  }
  void text(std::string_view piece) override { messages.back().text += piece; }
  void end(const StatusFields& status) override {
    messages.back().flags = status.flags();
    messages.back().keywords = status.keywords();
    messages.back().folder_data = status.is_folder_data();
  }
  std::vector<Message> messages;
};

std::vector<Collected::Message> read_mbox(std::string_view text, size_t piece) {
  Collected collected;
  MboxReader reader(collected);
  for (size_t at = 0; at < text.size(); at += piece) reader.feed(text.substr(at, piece));
  reader.finish();
  return collected.messages;
}

std::string written(std::string_view text, size_t piece, uint64_t flags = 0, std::vector<std::string> keywords = {}) {
  MboxWriter writer;
  std::string out;
  writer.begin("bob@example.test", 1'000'000'000, flags, keywords, out);
  for (size_t at = 0; at < text.size(); at += piece) writer.text(text.substr(at, piece), out);
  writer.end(out);
  return out;
}

TEST(Mbox, FromLines) {
  EXPECT_EQ(format_from_line("a@b.test", 0), "From a@b.test Thu Jan  1 00:00:00 1970\n");
  EXPECT_EQ(format_from_line("", 0), "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
  EXPECT_EQ(format_from_line("two words\n", 0), "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
  EXPECT_EQ(parse_from_line("From a@b.test Thu Jan  1 00:00:10 1970\n"), 10);
  EXPECT_EQ(parse_from_line("From a@b.test Thu Jan  1 01:00:10 1970 +0100\r\n"), 10);
  EXPECT_EQ(parse_from_line("From a@b.test Thu Jan  1 01:00:10 +0100 1970\n"), 10);
  EXPECT_EQ(parse_from_line("From \"a b\"@c Thu Jan 1 00:00 1970\n"), 0);
  EXPECT_EQ(parse_from_line("From what I know, it is so.\n"), std::nullopt);
  EXPECT_EQ(parse_from_line(">From a@b.test Thu Jan  1 00:00:10 1970\n"), std::nullopt);
}

TEST(Mbox, ComesBackWhateverThePieces) {
  const std::string one = "Subject: one\n\nFrom here\n>From there\n>>From\n\n>not\n\nFrom end\n";
  const std::string two = "Subject: two\nFrom: x\n folded\n\n\n\n";
  const std::string three = "Subject: only a header\n\n";
  for (size_t piece : {1, 2, 3, 7, 1000}) {
    const std::string text = written(one, piece, Flags::kSeen | Flags::kFlagged | Flags::kDraft, {"$Forwarded", "b"}) +
                             written(two, piece, Flags::kAnswered | Flags::kDeleted) + written(three, piece);
    EXPECT_THAT(text, HasSubstr("\n>From here\n>>From there\n>>From\n"));
    const auto messages = read_mbox(text, piece);
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(messages[0].from, "From bob@example.test Sun Sep  9 01:46:40 2001\n");
    EXPECT_EQ(messages[0].text, one);
    EXPECT_EQ(messages[0].date, 1'000'000'000);
    EXPECT_EQ(messages[0].flags, Flags::kSeen | Flags::kFlagged | Flags::kDraft);
    EXPECT_THAT(messages[0].keywords, ElementsAre("$Forwarded", "b"));
    EXPECT_EQ(messages[1].text, two);
    EXPECT_EQ(messages[1].flags, Flags::kAnswered | Flags::kDeleted);
    EXPECT_EQ(messages[2].text, three);
    EXPECT_EQ(messages[2].flags, 0U);
  }
}

TEST(Mbox, OurFieldsGoAndOthersStay) {
  const auto messages = read_mbox(
      "From a Thu Jan  1 00:00:00 1970\nX-IMAPbase: 1 2\nStatus: RO\nX-Keywords: a\n b\nX-UID: 3\nStatusX: y\n"
      "Status: O\n\nStatus: in the body\n",
      5);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].text, "StatusX: y\n\nStatus: in the body\n");
  EXPECT_EQ(messages[0].flags, Flags::kSeen);
  EXPECT_THAT(messages[0].keywords, ElementsAre("a", "b"));
  EXPECT_FALSE(messages[0].folder_data);
  EXPECT_TRUE(read_mbox("From a Thu Jan  1 00:00:00 1970\nX-IMAP: 1 2\n\nx\n", 9)[0].folder_data);
}

TEST(Mbox, AFoldedFirstLineGoesOnWithNoFieldOfOurs) {
  const std::string text = " Red\nSubject: a\n\nx\n";
  const std::string file = written(text, 100);
  EXPECT_THAT(file, HasSubstr("\nSubject: a\nStatus: O\n\nx\n"));
  const auto messages = read_mbox(file, 100);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].text, text);
  EXPECT_EQ(messages[0].flags, 0U);
}

TEST(Mbox, ALoneCrAtTheEndOfAHeaderDoesNotTakeTheFlags) {
  const auto messages = read_mbox(written("Subject: a\n\r", 3, Flags::kSeen), 3);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].flags, Flags::kSeen);
}

TEST(Mbox, LinesOfAnyLengthPassInPieces) {
  const std::string huge(5 * kMaxLinePart + 17, 'x');
  const std::string text = "Subject: " + huge + "\n\n" + huge + "From a\nFrom " + huge + "\n";
  const auto messages = read_mbox(written(text, 10'000), 9'000);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].text, text);
}

TEST(Mbox, WithCrlfAndWithoutALastLineEnd) {
  const auto messages = read_mbox(
      "From a Thu Jan  1 00:00:00 1970\r\nSubject: a\r\n\r\n>From x\r\n\r\nFrom a Thu Jan  1 00:00:00 1970\r\n"
      "Subject: b\r\n\r\nend",
      4);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0].text, "Subject: a\r\n\r\nFrom x\r\n");
  EXPECT_EQ(messages[1].text, "Subject: b\r\n\r\nend");
  EXPECT_TRUE(written("a: b\n\nend", 3).ends_with("\n\nend\n\n"));
}

TEST(Mbox, TextBeforeTheFirstMessageIsNoticed) {
  Collected collected;
  MboxReader reader(collected);
  reader.feed("hello\n");
  reader.finish();
  EXPECT_TRUE(reader.has_stray_text());
  EXPECT_TRUE(collected.messages.empty());
}

}  // namespace
}  // namespace postrider::mailctl
