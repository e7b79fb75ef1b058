#include "common/mailauth/auth_results.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

TEST(AuthenticationResultsTest, SaysWhatWasFound) {
  AuthenticationResults results;
  results.server = "mx.example.test";
  results.sender = "carol@example.org";
  results.helo = "mail.example.org";
  results.mail_from = spf::Judgement{spf::Verdict::pass, "example.org", {}, {}};
  results.helo_spf = spf::Judgement{spf::Verdict::none, "mail.example.org", {}, {}};
  dkim::SignatureResult signature;
  signature.verdict = dkim::Verdict::fail;
  signature.domain = "example.org";
  signature.selector = "s1";
  signature.algorithm = "rsa-sha256";
  signature.mark = "AbC/+=12";
  signature.reason = "the body was changed";
  results.dkim = std::vector{signature};
  dmarc::Judgement judgement;
  judgement.domain = "example.org";
  judgement.verdict = dmarc::Verdict::pass;
  judgement.policy = dmarc::Policy::reject;
  results.dmarc = {judgement};
  results.arc = ArcResult{true, {}, {"forward.example", "list.example"}};
  EXPECT_EQ(format_authentication_results(results),
            "Authentication-Results: mx.example.test;\r\n"
            "\tspf=pass smtp.mailfrom=carol@example.org;\r\n"
            "\tspf=none smtp.helo=mail.example.org;\r\n"
            "\tdkim=fail reason=\"the body was changed\" header.d=example.org header.s=s1 header.a=rsa-sha256 "
            "header.b=\"AbC/+=12\";\r\n"
            "\tarc=pass (sealed by forward.example, list.example);\r\n"
            "\tdmarc=pass (p=reject) header.from=example.org\r\n");
}

TEST(AuthenticationResultsTest, NothingBreaksOut) {
  AuthenticationResults results;
  results.server = "mx.example.test";
  results.sender = "\"; dkim=pass header.d=bank.example\r\nX: y\"@example.org";
  results.helo = std::string(5'000, 'x') + "; spf=pass";
  results.mail_from = spf::Judgement{spf::Verdict::permerror, "example.org", "a \"quoted\" \\ term\r\n", {}};
  results.helo_spf = spf::Judgement{};
  const std::string field = format_authentication_results(results);
  EXPECT_EQ(field.find("\r\nX:"), std::string::npos);
  EXPECT_NE(field.find("smtp.mailfrom=\"\\\"; dkim=pass header.d=bank.example??X: y\\\"@example.org\""),
            std::string::npos)
      << field;
  EXPECT_LT(field.size(), 2'000u);
}

TEST(AuthenticationResultsTest, NothingFoundIsSaidToo) {
  AuthenticationResults results;
  results.server = "mx.example.test";
  EXPECT_EQ(format_authentication_results(results), "Authentication-Results: mx.example.test; none\r\n");
}

TEST(AuthenticationResultsTest, ForgedFieldsGoAndOthersStay) {
  const std::string head =
      "Received: x\r\n"
      "Authentication-Results: mx.example.test; spf=pass\r\n"
      "authentication-results : (a comment) MX.Example.Test 1;\r\n\tdmarc=pass\r\n"
      "Authentication-Results: \"mx.example.test\"; spf=pass\r\n"
      "Authentication-Results:\r\n mx.example.test\r\n"
      "Authentication-Results: other.example; spf=pass\r\n"
      "Subject: hello\r\n\r\n";
  EXPECT_EQ(without_forged_results(head, "mx.example.test"),
            "Received: x\r\nAuthentication-Results: other.example; spf=pass\r\nSubject: hello\r\n\r\n");
  EXPECT_EQ(without_forged_results("Subject: hello\r\n\r\n", "mx.example.test"), std::nullopt);
}

}  // namespace
}  // namespace postrider
