#include "common/mail/downgrade.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/ascii.h"
#include "common/mail/mime_index.h"
#include "common/mail/transfer.h"

namespace postrider {
namespace {

ReadMessage reader(const std::string& text, size_t piece) {
  return [&text, piece](const auto& sink) {
    for (size_t at = 0; at < text.size(); at += piece) sink(std::string_view(text).substr(at, piece));
  };
}

Result<DowngradePlan> plan_of(const std::string& text, ContentLimit limit, bool binary, size_t piece = 1 << 20) {
  return plan_downgrade(reader(text, piece), limit, binary);
}

std::string converted(const std::string& text, ContentLimit limit = ContentLimit::seven_bit, bool binary = false) {
  std::string first;
  for (size_t piece : {size_t{1} << 20, size_t{7}, size_t{1}}) {
    auto plan = plan_of(text, limit, binary, piece);
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
    if (!plan) return {};
    Downgrader downgrader(*plan);
    std::string out;
    reader(text, piece)([&](std::string_view one) { downgrader.feed(one, out); });
    downgrader.finish(out);
    if (piece > 1'000) first = out;
    EXPECT_EQ(out, first) << "however the message is cut";
  }
  return first;
}

std::string trouble(const std::string& text, bool binary = false) {
  auto plan = plan_of(text, ContentLimit::seven_bit, binary);
  EXPECT_FALSE(plan);
  return plan ? "" : plan.error().message;
}

MimeIndex index_of(const std::string& text) {
  MimeIndexer indexer;
  indexer.feed(text);
  return indexer.finish().index;
}

/// What a reader of the message gets: the decoded leaves with their types.
std::vector<std::string> leaves(const std::string& text) {
  std::vector<std::string> list;
  for (const MimePart& part : index_of(text).parts) {
    if (part.kind != PartKind::leaf) continue;
    TransferDecoder decoder(part.encoding);
    std::string content;
    decoder.feed(std::string_view(text).substr(part.body_offset(), part.body_size), content);
    decoder.finish(content);
    list.push_back(fmt::format("{}/{} {}: {}", part.type, part.subtype, part.charset, content));
  }
  return list;
}

const std::string kMultipart =
    "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n"
    "pr\xc3\xa4"
    "amble\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "gr\xc3\xbc\xc3\x9f dich = so  \r\n.\r\nFrom here\r\n"
    "--=_b\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n<p>plain</p>\r\n"
    "--=_b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\x89PNG\xff\xfe\r\n"
    "--=_b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Subject: inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xfc\r\n"
    "--=_b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
    "--=_b--\r\nepil\xc3\xb6gue\r\n";

TEST(Downgrade, TextBecomesQuotedPrintable) {
  EXPECT_EQ(
      converted(
          "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\ncontent-transfer-encoding:\r\n 8bit\r\n\r\n"
          "gr\xc3\xbc\xc3\x9f = \t\r\nend"),
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "quoted-printable\r\n\r\n"
      "gr=C3=BC=C3=9F =3D =09\r\nend");
}

TEST(Downgrade, AMessageThatIsNoMimeBecomesMime) {
  EXPECT_EQ(converted("Subject: x\r\n\r\nan \xfc here\r\n"),
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nan =FC here\r\n");
}

TEST(Downgrade, OtherContentBecomesBase64InShortLines) {
  std::string out = converted("Content-Type: image/png\r\n\r\n" + std::string(100, '\xff') + "\r\n");
  EXPECT_EQ(out.substr(out.find("\r\n\r\n") + 4).find("\r\n"), 76u);
  EXPECT_EQ(leaves(out).at(0), "image/png : " + std::string(100, '\xff') + "\r\n");
}

TEST(Downgrade, TextInAnotherScriptBecomesBase64) {
  std::string text = "Content-Type: text/plain; charset=utf-8\r\n\r\n";
  for (int i = 0; i < 50; ++i) text += "\xe4\xbd\xa0\xe5\xa5\xbd\r\n";
  EXPECT_NE(converted(text).find("Content-Transfer-Encoding: base64\r\n"), std::string::npos);
  EXPECT_EQ(leaves(converted(text)), leaves(text));
}

TEST(Downgrade, EveryPartHasItsOwnEncodingAndTheRestStays) {
  std::string out = converted(kMultipart);
  EXPECT_FALSE(has_8bit(out));
  EXPECT_EQ(leaves(out), leaves(kMultipart));
  EXPECT_NE(out.find("multipart/mixed; boundary=\"=_b\"\r\nContent-Transfer-Encoding: 7bit\r\n"), std::string::npos);
  EXPECT_NE(out.find("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n"), std::string::npos);
  EXPECT_NE(out.find("pr##amble"), std::string::npos);
  EXPECT_NE(out.find("epil##gue"), std::string::npos);
  EXPECT_NE(out.find("\r\n\r\n<p>plain</p>\r\n"), std::string::npos);
  EXPECT_NE(out.find("\r\n\r\nQUJD\r\n"), std::string::npos);
  EXPECT_NE(out.find("Subject: inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
                     "Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\n/A==\r\n"),
            std::string::npos);
}

TEST(Downgrade, DoneTwiceIsDoneOnce) {
  const std::string once = converted(kMultipart);
  EXPECT_TRUE(plan_of(once, ContentLimit::seven_bit, true)->edits.empty());
}

TEST(Downgrade, LinesOfQuotedPrintableAreShort) {
  std::string text = "Content-Type: text/plain\r\n\r\n";
  for (int i = 0; i < 3'000; ++i) text += i % 9 == 0 ? "\xfc" : i % 7 == 0 ? " " : "x";
  std::string out = converted(text + "\r\n");
  size_t longest = 0;
  for (size_t at = 0; at < out.size();) {
    size_t end = std::min(out.find("\r\n", at), out.size());
    longest = std::max(longest, end - at);
    at = end + 2;
  }
  EXPECT_LE(longest, 76u);
  EXPECT_EQ(leaves(out), leaves(text + "\r\n"));
}

TEST(Downgrade, ABrokenLineIsNoDelimiter) {
  const std::string line = std::string(75, 'x') + "--b";
  const std::string text =
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n-- \r\n\xfc\r\n" + line +
      "\r\nmore\r\n--b--\r\n";
  EXPECT_EQ(leaves(converted(text)), leaves(text));
}

TEST(Downgrade, LabelsThatPromiseTooMuchAreCorrected) {
  const std::string text = "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nascii\r\n";
  EXPECT_NE(converted(text).find("Content-Transfer-Encoding: 7bit\r\n"), std::string::npos);
  EXPECT_EQ(converted(text, ContentLimit::eight_bit), text) << "8bit is fine there";
}

TEST(Downgrade, ASecondEncodingFieldGoes) {
  std::string out = converted(
      "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: binary\r\nContent-Type: text/x\r\n\r\n\xfc\r\n");
  EXPECT_EQ(out.find("binary"), std::string::npos);
  EXPECT_EQ(out.find("Content-Transfer-Encoding", out.find("Content-Transfer-Encoding") + 1), std::string::npos);
}

TEST(Downgrade, BinaryContentIsEncodedForAHostThatTakesEightBit) {
  const std::string octets("\0\n\r\xff lines\r\n", 12);
  const std::string text =
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
      "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" +
      octets +
      "\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "binary\r\n\r\n\xc3\xbc\r\n--b--\r\n";
  std::string out = converted(text, ContentLimit::eight_bit, true);
  EXPECT_EQ(leaves(out), leaves(text));
  EXPECT_EQ(out.find("binary"), std::string::npos);
  EXPECT_NE(out.find("charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc\r\n"), std::string::npos);
  ContentScanner scanner;
  scanner.feed(out);
  EXPECT_FALSE(scanner.is_binary());
  EXPECT_FALSE(has_8bit(converted(text, ContentLimit::seven_bit, true)));
}

TEST(Downgrade, BareLineEndsInTextAreKept) {
  const std::string text = "Content-Type: text/plain\r\n\r\na\nb\rc" + std::string(1, '\0') + "d \r\n";
  const std::string out = converted(text, ContentLimit::eight_bit, true);
  EXPECT_NE(out.find("\r\n\r\na=0Ab=0Dc=00d=20\r\n"), std::string::npos);
}

TEST(Downgrade, WhatASignatureCoversIsNotTouched) {
  const std::string head =
      "Content-Type: multipart/signed; boundary=s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--s\r\n";
  const std::string tail = "\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n";
  EXPECT_NE(trouble(head + "Content-Type: text/plain\r\n\r\n\xfc" + tail).find("signature"), std::string::npos);
  const std::string nested = "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\n\xfc\r\n--m--";
  EXPECT_NE(trouble(head + nested + tail).find("signature"), std::string::npos);
  const std::string clean = head + "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nascii" + tail;
  EXPECT_NE(converted(clean).find("Content-Transfer-Encoding: 8bit\r\n\r\nascii"), std::string::npos);
}

TEST(Downgrade, WhatMustNotBeEncodedIsRefused) {
  for (const char* type : {"message/partial; id=x", "message/external-body", "message/delivery-status"}) {
    EXPECT_NE(trouble(fmt::format("Content-Type: {}\r\n\r\n\xfc\r\n", type)).find("message/"), std::string::npos)
        << type;
  }
  EXPECT_NE(trouble("Content-Type: multipart/mixed; boundary=b\r\n\r\nno part at all \xfc\r\n").find("multipart/"),
            std::string::npos);
  EXPECT_NE(trouble("Content-Transfer-Encoding: base64\r\n\r\n\xfc\r\n").find("base64"), std::string::npos);
  EXPECT_NE(trouble("Content-Transfer-Encoding: x-uuencode\r\n\r\n\xfc\r\n").find("x-uuencode"), std::string::npos);
  EXPECT_NE(trouble("Subject: \xc3\xbc\r\n\r\n\xfc\r\n").find("header"), std::string::npos);
  EXPECT_NE(trouble("Subject: x\r\nX: " + std::string(kMaxHeaderBlock, 'x') + "\r\n\r\n\xfc\r\n").find("too long"),
            std::string::npos);
}

TEST(Downgrade, MessagesInUtf8MayBeEncoded) {
  std::string out = converted("Content-Type: message/global-delivery-status\r\n\r\n\xc3\xbc\r\n");
  EXPECT_NE(out.find("Content-Transfer-Encoding: base64\r\n"), std::string::npos);
}

TEST(Downgrade, EveryPrefixOfAMessageIsConvertedOrRefused) {
  for (size_t cut = 0; cut <= kMultipart.size(); ++cut) {
    const std::string text = kMultipart.substr(0, cut);
    auto plan = plan_of(text, ContentLimit::seven_bit, false);
    if (!plan) continue;
    const std::string out = converted(text);
    EXPECT_FALSE(has_8bit(out)) << cut;
    EXPECT_EQ(leaves(out).size(), leaves(text).size()) << cut;
  }
}

TEST(ContentScanner, KnowsWhatIsBinary) {
  auto is_binary = [](std::string_view text) {
    ContentScanner whole, cut;
    whole.feed(text);
    for (char c : text) cut.feed(std::string_view(&c, 1));
    EXPECT_EQ(whole.is_binary(), cut.is_binary());
    return whole.is_binary();
  };
  EXPECT_FALSE(is_binary(""));
  EXPECT_FALSE(is_binary("a\r\n\xff\r\n"));
  EXPECT_FALSE(is_binary(std::string(998, 'x') + "\r\n" + std::string(998, 'x')));
  EXPECT_TRUE(is_binary(std::string(999, 'x')));
  EXPECT_TRUE(is_binary("a\nb"));
  EXPECT_TRUE(is_binary("a\rb"));
  EXPECT_TRUE(is_binary("a\r"));
  EXPECT_TRUE(is_binary("a\r\r\n"));
  EXPECT_TRUE(is_binary(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace postrider
