#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/mail/header.h"
#include "common/mailauth/dkim_sign.h"
#include "common/mailauth/dkim_verify.h"
#include "tests/mailauth/signatures.h"

namespace postrider::dkim {
namespace {

constexpr UnixTime kNow = 1'528'637'909;

std::string canonical_body(Canon canon, std::string_view body, size_t piece) {
  std::string out;
  BodyCanonicalizer canonicalizer(canon);
  const BodyCanonicalizer::Sink sink = [&](std::string_view octets) { out += octets; };
  for (size_t at = 0; at < body.size(); at += piece) canonicalizer.feed(body.substr(at, piece), sink);
  canonicalizer.finish(sink);
  return out;
}

class DkimTest : public testing::Test {
 protected:
  std::vector<SignatureResult> verify_message(const std::string& message, UnixTime now = kNow) {
    return verify_signatures(dns, message, now, 7);
  }
  SignatureResult only(const std::string& message, UnixTime now = kNow) {
    auto results = verify_message(message, now);
    EXPECT_EQ(results.size(), 1u);
    return results.empty() ? SignatureResult() : results.front();
  }

  SigningKey make_key(Algorithm algorithm, const std::string& selector) {
    Key key = generate_key(algorithm);
    dns.txt(selector + "._domainkey.example.org", key_record_text(key));
    return {"example.org", selector, key};
  }
  std::string signed_message(const std::string& message, const std::vector<SigningKey>& keys) {
    const std::string_view text = message;
    const size_t head = header_block_size(text);
    BodyHash body;
    body.feed(text.substr(head));
    return sign_message(text.substr(0, head), body.finish(), keys, kNow) + message;
  }
  /// A message with a signature of ours whose field is changed before it is signed.
  std::string hand_signed(const SigningKey& key, const std::string& tags, const std::string& head,
                          const std::string& body, const std::string& hashed_body,
                          const std::vector<std::string>& names) {
    Sha256 hash;
    hash.update(hashed_body);
    std::string field = fmt::format(
        "DKIM-Signature: v=1; a={}; c=simple/simple; d=example.org; s={}; {} h={}; bh={}; b=",
        to_string(*algorithm_of(key.key)), key.selector, tags, fmt::join(names, ":"), base64_encode(hash.finish()));
    const std::string data = select_fields(head, names, Canon::simple) + field;
    return field + base64_encode(sign(key.key, data)) + "\r\n" + head + body;
  }

  DnsTable dns;
  const std::string plain =
      "From: alice@example.org\r\nTo: bob@example.net\r\nSubject: a  subject\r\n with two lines\r\nDate: Mon, 1 Jan "
      "2024 00:00:00 +0000\r\n"
      "\r\nhello  world \r\n\r\nend\r\n\r\n\r\n";
};

// --- canonical forms

TEST_F(DkimTest, BodiesInBothForms) {
  struct Case {
    const char *body, *simple, *relaxed;
  };
  const Case cases[] = {
      {"", "\r\n", ""},
      {"\r\n", "\r\n", ""},
      {" \r\n\t\r\n", " \r\n\t\r\n", ""},
      {"a", "a\r\n", "a\r\n"},
      {"a\r\n\r\n\r\n", "a\r\n", "a\r\n"},
      {" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
      {"\r\n\r\na \r\n", "\r\n\r\na \r\n", "\r\n\r\na\r\n"},
      {"a\rb\nc\r", "a\rb\nc\r\r\n", "a\rb\nc\r\r\n"},
      {"a \r\n \r\n b", "a \r\n \r\n b\r\n", "a\r\n\r\n b\r\n"},
  };
  for (const Case& one : cases) {
    for (size_t piece : {1u, 2u, 3u, 100u}) {
      EXPECT_EQ(canonical_body(Canon::simple, one.body, piece), one.simple)
          << testing::PrintToString(one.body) << piece;
      EXPECT_EQ(canonical_body(Canon::relaxed, one.body, piece), one.relaxed)
          << testing::PrintToString(one.body) << piece;
    }
  }
}

TEST_F(DkimTest, EmptyLinesWithoutEndTakeNoMemory) {
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "\r\n";
  size_t largest = 0, all = 0;
  BodyCanonicalizer canonicalizer(Canon::relaxed);
  const BodyCanonicalizer::Sink sink = [&](std::string_view octets) {
    largest = std::max(largest, octets.size());
    all += octets.size();
  };
  for (int i = 0; i < 50; ++i) canonicalizer.feed(lines, sink);
  EXPECT_EQ(all, 0u);
  canonicalizer.feed("x", sink);
  canonicalizer.finish(sink);
  EXPECT_EQ(all, lines.size() * 50 + 3);
  EXPECT_LT(largest, 20'000u);
}

TEST_F(DkimTest, FieldsInBothForms) {
  EXPECT_EQ(canonical_field("SubJect : a\r\n\t b  c \r\n", Canon::relaxed), "subject:a b c\r\n");
  EXPECT_EQ(canonical_field("A: X\r\n", Canon::relaxed), "a:X\r\n");
  EXPECT_EQ(canonical_field("A:\r\n", Canon::relaxed), "a:\r\n");
  EXPECT_EQ(canonical_field("SubJect : a\r\n\t b\r\n", Canon::simple), "SubJect : a\r\n\t b\r\n");
}

TEST_F(DkimTest, FieldsAreTakenFromTheBottom) {
  const std::string head = "A: 1\r\nB: x\r\nA: 2\r\nA: 3\r\n\r\n";
  EXPECT_EQ(select_fields(head, {"a", "a", "c", "b", "b"}, Canon::simple), "A: 3\r\nA: 2\r\nB: x\r\n");
}

// --- the message of RFC 8463 appendix A

TEST_F(DkimTest, TheMessageOfRfc8463) {
  dns.txt("brisbane._domainkey.football.example.com",
          "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  dns.txt("test._domainkey.football.example.com",
          "v=DKIM1; k=rsa; "
          "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/"
          "byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/"
          "K4w3QIDAQAB");
  const std::string message =
      "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
      " d=football.example.com; i=@football.example.com;\r\n"
      " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
      " subject : date : message-id : from : subject : date;\r\n"
      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
      " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
      " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
      " d=football.example.com; i=@football.example.com;\r\n"
      " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
      " date : message-id : from : subject : date;\r\n"
      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
      " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
      " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
      " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
      "From: Joe SixPack <joe@football.example.com>\r\n"
      "To: Suzie Q <suzie@shopping.example.net>\r\n"
      "Subject: Is dinner ready?\r\n"
      "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
      "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
      "\r\n"
      "Hi.\r\n"
      "\r\n"
      "We lost the game.  Are you hungry yet?\r\n"
      "\r\n"
      "Joe.\r\n";
  const auto results = verify_message(message);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].verdict, Verdict::pass) << results[0].reason;
  EXPECT_EQ(results[0].domain, "football.example.com");
  EXPECT_EQ(results[0].algorithm, "ed25519-sha256");
  EXPECT_EQ(results[0].mark, "/gCrinpc");
  EXPECT_EQ(results[1].verdict, Verdict::pass) << results[1].reason;
}

// --- signed here

TEST_F(DkimTest, BothKindsOfKeySignAtOnce) {
  const std::string message =
      signed_message(plain, {make_key(Algorithm::rsa_sha256, "r"), make_key(Algorithm::ed25519_sha256, "e")});
  for (const auto& result : verify_message(message)) EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
  EXPECT_EQ(verify_message(message).size(), 2u);
  HeaderReader lines(message);
  while (auto field = lines.next()) {
    for (size_t at = 0; at < field->raw.size(); at = field->raw.find('\n', at) + 1) {
      EXPECT_LE(field->raw.find('\n', at) - at, 79u) << field->raw;
    }
  }
}

TEST_F(DkimTest, BlanksMayChangeAndWordsMayNot) {
  std::string message = signed_message(plain, {make_key(Algorithm::ed25519_sha256, "e")});
  auto changed = [&](const std::string& from, const std::string& to) {
    std::string copy = message;
    copy.replace(copy.find(from), from.size(), to);
    return only(copy).verdict;
  };
  EXPECT_EQ(changed("hello  world ", "hello world"), Verdict::pass);
  EXPECT_EQ(changed("Subject: a  subject\r\n with", "SUBJECT:  a subject with"), Verdict::pass);
  EXPECT_EQ(changed("hello", "hallo"), Verdict::fail);
  EXPECT_EQ(changed("end\r\n", "end\r\nand more\r\n"), Verdict::fail);
  EXPECT_EQ(changed("To: bob", "To: eve"), Verdict::fail);
  EXPECT_EQ(changed("d=example.org", "d=example.net"), Verdict::permerror);  // no such key
}

TEST_F(DkimTest, NoFieldThatAReaderGoesByCanBeAdded) {
  const std::string message = signed_message(plain, {make_key(Algorithm::ed25519_sha256, "e")});
  for (const char* field : {"From: eve@example.net", "Subject: another", "To: all@example.net", "Cc: x@example.net",
                            "Reply-To: eve@example.net", "Date: Tue, 2 Jan 2024 00:00:00 +0000",
                            "Content-Type: text/html", "MIME-Version: 1.0"}) {
    EXPECT_EQ(only(std::string(field) + "\r\n" + message).verdict, Verdict::fail) << field;
  }
  EXPECT_EQ(only("Received: from a by b\r\nList-Id: <x.example.net>\r\n" + message).verdict, Verdict::pass);
}

TEST_F(DkimTest, PrivateKeysComeBackFromPem) {
  for (Algorithm algorithm : {Algorithm::rsa_sha256, Algorithm::ed25519_sha256}) {
    const Key key = generate_key(algorithm);
    auto loaded = load_private_key("what it is for\n" + private_key_pem(key));
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(key_record_text(*loaded), key_record_text(key));
  }
  EXPECT_FALSE(load_private_key("nothing"));
}

// --- what is wrong with signatures

TEST_F(DkimTest, TimeIsUp) {
  const SigningKey key = make_key(Algorithm::ed25519_sha256, "e");
  const std::string head = "From: a@example.org\r\n\r\n";
  const std::string message =
      hand_signed(key, fmt::format("t={}; x={};", kNow, kNow + 100), head, "x\r\n", "x\r\n", {"from"});
  EXPECT_EQ(only(message, kNow + 100).verdict, Verdict::pass);
  EXPECT_EQ(only(message, kNow + 101).verdict, Verdict::fail);
  EXPECT_EQ(only(hand_signed(key, "t=9; x=8;", head, "x\r\n", "x\r\n", {"from"})).verdict, Verdict::permerror);
}

TEST_F(DkimTest, ABodyThatIsNotSignedToItsEndIsNotTrusted) {
  const SigningKey key = make_key(Algorithm::ed25519_sha256, "e");
  const std::string head = "From: a@example.org\r\n\r\n";
  EXPECT_EQ(only(hand_signed(key, "l=3;", head, "x\r\n", "x\r\n", {"from"})).verdict, Verdict::pass);
  EXPECT_EQ(only(hand_signed(key, "l=3;", head, "x\r\nbuy!\r\n", "x\r\n", {"from"})).verdict, Verdict::policy);
  EXPECT_EQ(only(hand_signed(key, "l=0;", head, "anything\r\n", "", {"from"})).verdict, Verdict::policy);
  EXPECT_EQ(only(hand_signed(key, "l=9;", head, "x\r\n", "x\r\n", {"from"})).verdict, Verdict::fail);
  EXPECT_EQ(only(hand_signed(key, "l=x;", head, "x\r\n", "x\r\n", {"from"})).verdict, Verdict::permerror);
}

TEST_F(DkimTest, FromMustBeSigned) {
  const SigningKey key = make_key(Algorithm::ed25519_sha256, "e");
  EXPECT_EQ(only(hand_signed(key, "", "From: a@example.org\r\nTo: b\r\n\r\n", "x\r\n", "x\r\n", {"to"})).verdict,
            Verdict::permerror);
}

TEST_F(DkimTest, OldAndBrokenSignaturesAreNamedAsSuch) {
  const std::string rest = "\r\nFrom: a@example.org\r\n\r\nx\r\n";
  const char* const fields[] = {
      "v=1; a=rsa-sha1; d=example.org; s=e; h=from; bh=AAAA; b=AAAA",
      "v=2; a=rsa-sha256; d=example.org; s=e; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=example.org; s=e; h=from; bh=AAAA",
      "v=1; a=rsa-sha256; d=example.org; d=example.net; s=e; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=; s=e; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=example.org; i=a@example.net; s=e; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; c=odd; d=example.org; s=e; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=example.org; s=e; h=from; bh=!!; b=AAAA",
      "nothing at all",
      "",
      ";;;",
  };
  for (const char* field : fields) {
    const auto result = only(fmt::format("DKIM-Signature: {}{}", field, rest));
    EXPECT_EQ(result.verdict, Verdict::permerror) << field;
    EXPECT_FALSE(result.reason.empty()) << field;
  }
}

TEST_F(DkimTest, KeysThatAreOfNoUse) {
  const SigningKey key = make_key(Algorithm::ed25519_sha256, "e");
  const std::string message = signed_message(plain, {key});
  const std::string good = key_record_text(key.key);
  const auto with_record = [&](const std::string& record) {
    dns = DnsTable();
    dns.txt("e._domainkey.example.org", record);
    return only(message).verdict;
  };
  EXPECT_EQ(with_record(good), Verdict::pass);
  EXPECT_EQ(with_record(good + "; t=s:y; s=email; h=sha1:sha256; n=note"), Verdict::pass);
  EXPECT_EQ(with_record(good + "; s=other"), Verdict::permerror);
  EXPECT_EQ(with_record(good + "; h=sha1"), Verdict::permerror);
  EXPECT_EQ(with_record("v=DKIM1; k=ed25519; p="), Verdict::permerror);
  EXPECT_EQ(with_record("v=DKIM1; k=ed25519; p=AAAA"), Verdict::permerror);
  EXPECT_EQ(with_record("v=DKIM2; " + good), Verdict::permerror);
  EXPECT_EQ(with_record("k=rsa; p=AAAA"), Verdict::permerror);
  EXPECT_EQ(with_record(std::string(60'000, 'x')), Verdict::permerror);
  EXPECT_EQ(with_record(key_record_text(generate_key(Algorithm::ed25519_sha256))), Verdict::fail);
  dns.fail("e._domainkey.example.org", DnsType::txt);
  EXPECT_EQ(only(message).verdict, Verdict::temperror);
}

TEST_F(DkimTest, ShortRsaKeysAreRefused) {
  const Key small(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{512}), [](EVP_PKEY* held) { EVP_PKEY_free(held); });
  KeyRecord record = *parse_key_record(key_record_text(small));
  EXPECT_FALSE(load_public_key(record));
  EXPECT_FALSE(load_private_key(private_key_pem(small)));
}

/// An RSA key of that many bits as PKCS#1 writes it; no factors are needed to see how large it is.
std::string rsa_key_of(size_t bits) {
  const auto sized = [](char tag, const std::string& octets) {
    const size_t size = octets.size();
    return std::string{tag, '\x82', static_cast<char>(size >> 8), static_cast<char>(size & 0xff)} + octets;
  };
  const std::string modulus = sized(2, std::string(1, '\0') + std::string(bits / 8, '\xff'));
  return sized(0x30, modulus + std::string("\2\1\3", 3));
}

// They cost whoever checks them a second each (a key of 16,384 bits).
TEST_F(DkimTest, LongRsaKeysAreRefused) {
  EXPECT_TRUE(load_public_key(*parse_key_record("p=" + base64_encode(rsa_key_of(8'192)))));
  const auto record = parse_key_record("p=" + base64_encode(rsa_key_of(16'384)));
  ASSERT_TRUE(record);
  const auto key = load_public_key(*record);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().message, "the key has 16384 bits, which is too many");
}

TEST_F(DkimTest, ManySignaturesHaveALimit) {
  std::string message;
  for (int i = 0; i < 100; ++i)
    message += "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s" + std::to_string(i) +
               "; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n";
  EXPECT_EQ(verify_message(message + "From: a@example.org\r\n\r\nx\r\n").size(), kMaxSignatures);
  EXPECT_EQ(dns.asked(), kMaxSignatures);
}

TEST_F(DkimTest, MessagesWithoutSignatureHaveNoResults) {
  EXPECT_TRUE(verify_message(plain).empty());
  EXPECT_TRUE(verify_message("").empty());
}

}  // namespace
}  // namespace postrider::dkim
