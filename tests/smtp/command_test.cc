#include "common/smtp/command.h"

#include <gtest/gtest.h>

namespace postrider::smtp {
namespace {

/// "501 5.5.4" of a refused command.
template <class T>
std::string refusal(const Parsed<T>& parsed) {
  if (parsed) return "accepted";
  return std::to_string(parsed.error().code) + ' ' + std::string(parsed.error().status);
}

TEST(SplitCommand, FindsTheVerbInAnyCase) {
  const auto command = split_command("mAiL FROM:<a@b>  ");
  EXPECT_EQ(command.verb, Verb::mail);
  EXPECT_EQ(command.argument, "FROM:<a@b>");
  EXPECT_EQ(split_command("QUIT").verb, Verb::quit);
  EXPECT_EQ(split_command("QUIT").argument, "");
  EXPECT_EQ(split_command("STARTTLS \t ").argument, "");
  EXPECT_EQ(split_command("BDAT 5 LAST").argument, "5 LAST");
}

TEST(SplitCommand, WhatIsNoVerbIsUnknown) {
  for (std::string_view line : {"", " ", " NOOP", "NOOPS", "GET / HTTP/1.1", "\x80\xff", "MAILFROM:<a@b>"}) {
    EXPECT_EQ(split_command(line).verb, Verb::unknown) << line;
  }
}

TEST(Helo, TakesDomainsLiteralsAndWhatClientsCallThemselves) {
  for (std::string_view name :
       {"mx.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "my_pc", "192.0.2.1", "xn--bcher-kva.example",
        "b\xC3\xBC"
        "cher.example"}) {
    EXPECT_EQ(parse_helo(name).value(), name);
  }
}

TEST(Helo, RefusesNothingAndNonsense) {
  for (std::string_view name : {"", "a b", "[nonsense]", "[192.0.2.1", "[IPv6:zz]", "a<b>", "a\"b", "a(b)", "\xff"}) {
    EXPECT_EQ(refusal(parse_helo(name)), "501 5.5.4") << name;
  }
  EXPECT_EQ(refusal(parse_helo(std::string(256, 'a'))), "501 5.5.4");
}

TEST(Mail, TakesAPath) {
  EXPECT_EQ(parse_mail("FROM:<alice@example.org>", false)->reverse_path->to_string(), "alice@example.org");
  EXPECT_EQ(parse_mail("from: <alice@example.org>", false)->reverse_path->to_string(), "alice@example.org");
  EXPECT_FALSE(parse_mail("FROM:<>", false)->reverse_path);
}

TEST(Mail, TakesEveryParameter) {
  const auto mail = parse_mail(
      "FROM:<a@example.org> SIZE=1234 body=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ+2B1 AUTH=e+3Dmc2@example.org", true);
  ASSERT_TRUE(mail) << mail.error().text;
  EXPECT_EQ(mail->size, 1234u);
  EXPECT_EQ(mail->body, Body::eight_bit);
  EXPECT_TRUE(mail->smtputf8);
  EXPECT_EQ(mail->ret, Ret::headers);
  EXPECT_EQ(mail->envid, "QQ+1");
  EXPECT_EQ(mail->auth, "e=mc2@example.org");
  EXPECT_EQ(parse_mail("FROM:<> BODY=BINARYMIME RET=FULL AUTH=<>", true)->body, Body::binary);
  EXPECT_EQ(parse_mail("FROM:<> BODY=7BIT", true)->body, Body::seven_bit);
  EXPECT_FALSE(mail->require_tls);
  EXPECT_TRUE(parse_mail("FROM:<> RequireTLS", true)->require_tls);
}

TEST(Mail, RefusesBadPaths) {
  EXPECT_EQ(refusal(parse_mail("", false)), "501 5.5.2");
  EXPECT_EQ(refusal(parse_mail("TO:<a@b.example>", false)), "501 5.5.2");
  EXPECT_EQ(refusal(parse_mail("FROM:", false)), "501 5.1.7");
  EXPECT_EQ(refusal(parse_mail("FROM:a@b.example", false)), "501 5.1.7");
  EXPECT_EQ(refusal(parse_mail("FROM:<\"\"@b.example>", false)), "501 5.1.7");
  EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example", false)), "501 5.1.7");
  EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example>SIZE=1", false)), "501 5.5.2");
}

TEST(Mail, RefusesBadParameters) {
  for (std::string_view parameter : {"SIZE",
                                     "SIZE=",
                                     "SIZE=-1",
                                     "SIZE=+1",
                                     "SIZE=1x",
                                     "SIZE=100000000000000000000",
                                     "SIZE=1 SIZE=1",
                                     "BODY",
                                     "BODY=9BIT",
                                     "BODY=7BIT BODY=8BITMIME",
                                     "SMTPUTF8=1",
                                     "SMTPUTF8 SMTPUTF8",
                                     "REQUIRETLS=1",
                                     "REQUIRETLS REQUIRETLS",
                                     "RET=HALF",
                                     "RET",
                                     "RET=FULL RET=FULL",
                                     "ENVID=a=b",
                                     "ENVID=+0",
                                     "ENVID=+0D",
                                     "ENVID",
                                     "AUTH=nobody",
                                     "AUTH=+",
                                     "=1",
                                     "=",
                                     "-X"}) {
    EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example> " + std::string(parameter), true)), "501 5.5.4") << parameter;
  }
  EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example> ENVID=" + std::string(101, 'x'), true)), "501 5.5.4");
}

TEST(Mail, ASizeBeyondAllNumbersIsTheGreatest) {
  EXPECT_EQ(parse_mail("FROM:<> SIZE=99999999999999999999", false)->size, UINT64_MAX);
}

TEST(Mail, ParametersThatAreNotOfferedAre555) {
  EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example> HOLDFOR=1", true)), "555 5.5.4");
  EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example> AUTH=<>", false)), "555 5.5.4");
  EXPECT_EQ(refusal(parse_mail("FROM:<a@b.example> NOTIFY=NEVER", true)), "555 5.5.4");
}

TEST(Mail, Utf8NeedsItsParameter) {
  const std::string path = "FROM:<j\xC3\xB6rg@example.org>";
  EXPECT_EQ(refusal(parse_mail(path, false)), "553 5.6.7");
  EXPECT_TRUE(parse_mail(path + " SMTPUTF8", false));
  EXPECT_EQ(refusal(parse_mail("FROM:<j\xFFrg@example.org> SMTPUTF8", false)), "501 5.1.7");
}

TEST(Rcpt, TakesAPathAndEveryParameter) {
  const auto rcpt = parse_rcpt("TO:<bob@example.org> NOTIFY=SUCCESS,delay ORCPT=rfc822;b+2Bob@example.org", false);
  ASSERT_TRUE(rcpt) << rcpt.error().text;
  EXPECT_EQ(rcpt->forward_path.to_string(), "bob@example.org");
  EXPECT_EQ(rcpt->notify, kNotifySuccess | kNotifyDelay);
  EXPECT_EQ(rcpt->orcpt, "rfc822;b+2Bob@example.org");
  EXPECT_EQ(parse_rcpt("TO:<bob@example.org> NOTIFY=NEVER", false)->notify, kNotifyNever);
  EXPECT_EQ(parse_rcpt("TO:<Postmaster>", false)->forward_path.domain, "");
}

TEST(Rcpt, RefusesTheNullPathAndBadOnes) {
  for (std::string_view path :
       {"", "<>", "bob", "<bob>", "<@a,@b>", "<a@b.example", "<\"a@b.example>", "<a\\@b.example>"}) {
    EXPECT_EQ(refusal(parse_rcpt("TO:" + std::string(path), false)), "501 5.1.3") << path;
  }
  EXPECT_EQ(parse_rcpt("TO:<@a.example,@b.example:c@d.example>", false)->forward_path.to_string(), "c@d.example");
}

TEST(Rcpt, RefusesBadParameters) {
  for (std::string_view parameter :
       {"NOTIFY", "NOTIFY=", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SUCCESS,", "NOTIFY=SUCCESS,SUCCESS", "NOTIFY=SOMETIMES",
        "NOTIFY=NEVER NOTIFY=NEVER", "ORCPT", "ORCPT=bob", "ORCPT=;bob", "ORCPT=rfc822;", "ORCPT=rfc822;a+0",
        "ORCPT=rfc822;a+0A", "ORCPT=rf c;a", "ORCPT=rfc822;a ORCPT=rfc822;a"}) {
    const auto code = refusal(parse_rcpt("TO:<b@b.example> " + std::string(parameter), false));
    EXPECT_EQ(code, "501 5.5.4") << parameter;
  }
  EXPECT_EQ(refusal(parse_rcpt("TO:<b@b.example> ORCPT=rfc822;" + std::string(500, 'x'), false)), "501 5.5.4");
  EXPECT_EQ(refusal(parse_rcpt("TO:<b@b.example> SIZE=5", false)), "555 5.5.4");
}

TEST(Rcpt, Utf8NeedsSmtputf8InMail) {
  EXPECT_EQ(refusal(parse_rcpt("TO:<j\xC3\xB6rg@example.org>", false)), "553 5.6.7");
  EXPECT_TRUE(parse_rcpt("TO:<j\xC3\xB6rg@example.org> ORCPT=utf-8;j\xC3\xB6rg@example.org", true));
}

TEST(Bdat, TakesASizeAndLast) {
  EXPECT_EQ(parse_bdat("0 LAST")->size, 0u);
  EXPECT_TRUE(parse_bdat("0 last")->last);
  EXPECT_EQ(parse_bdat("86")->size, 86u);
  EXPECT_FALSE(parse_bdat("86")->last);
}

TEST(Bdat, RefusesEverythingElse) {
  for (std::string_view text :
       {"", "LAST", "-1", "+1", "1x", "18446744073709551616", "1 FIRST", "1 LAST LAST", "0x10", "1.5"}) {
    EXPECT_EQ(refusal(parse_bdat(text)), "501 5.5.4") << text;
  }
}

TEST(Burl, TakesAUrlAndLast) {
  EXPECT_EQ(parse_burl("imap://h/a/;UID=1")->url, "imap://h/a/;UID=1");
  EXPECT_FALSE(parse_burl("imap://h/a/;UID=1")->last);
  EXPECT_TRUE(parse_burl("x last")->last);
  for (std::string_view text : {"", "x FIRST", "x LAST LAST"})
    EXPECT_EQ(refusal(parse_burl(text)), "501 5.5.4") << text;
}

TEST(Auth, TakesAMechanismAndAnInitialResponse) {
  EXPECT_EQ(parse_auth("PLAIN")->mechanism, "PLAIN");
  EXPECT_FALSE(parse_auth("PLAIN")->initial_response);
  EXPECT_EQ(parse_auth("PLAIN AGEAYg==")->initial_response, "AGEAYg==");
  EXPECT_EQ(parse_auth("LOGIN =")->initial_response, "=");
  EXPECT_EQ(refusal(parse_auth("")), "501 5.5.4");
  EXPECT_EQ(refusal(parse_auth("PLAIN a b")), "501 5.5.4");
}

TEST(Commands, NoPrefixOfACommandDoesHarm) {
  const std::string_view mail = "FROM:<\"a b\"@example.org> SIZE=1234 BODY=8BITMIME RET=HDRS ENVID=QQ+2B1 AUTH=<>";
  const std::string_view rcpt = "TO:<@a.example:bob@[IPv6:2001:db8::1]> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bob";
  const auto path_end = mail.find('>') + 1, rcpt_end = rcpt.rfind('>') + 1;
  for (size_t n = 0; n < path_end; ++n) EXPECT_FALSE(parse_mail(mail.substr(0, n), true)) << n;
  for (size_t n = 0; n < rcpt_end; ++n) EXPECT_FALSE(parse_rcpt(rcpt.substr(0, n), false)) << n;
  for (size_t n = path_end; n <= mail.size(); ++n) {
    const auto parsed = parse_mail(mail.substr(0, n), true);
    EXPECT_TRUE(parsed || parsed.error().code == 501 || parsed.error().code == 555) << n;
  }
  EXPECT_TRUE(parse_mail(mail, true));
  EXPECT_TRUE(parse_rcpt(rcpt, false));
}

}  // namespace
}  // namespace postrider::smtp
