// BURL (RFC 4468): parts of a message that lie in a mailbox here.
#include <fmt/format.h>

#include "store/message_url.h"
#include "tests/mta/session_fixture.h"

namespace postrider {
namespace {

using namespace std::string_literals;

constexpr std::string_view kDraft = "From: alice@example.test\r\nSubject: draft\r\n\r\nHello\r\n";

class BurlTest : public SessionTest {
 protected:
  BurlTest() {
    put("alice@example.test", "Drafts", kDraft);
    configure([](Config& c) { c.imap.url_hosts = {"imap.example.test"}; });
  }

  store::AccountId account(const std::string& address) {
    return directory->with([&](store::Directory& d) { return d.find_account(address, "")->id; });
  }

  store::Uid put(const std::string& owner, std::string_view mailbox, std::string_view text) {
    auto spool = std::make_shared<store::Spool>((folder / "spool").string());
    spool->append(text);
    const auto prepared = store::prepare_message(spool);
    auto lease = accounts->open(account(owner));
    store::Edit edit(*lease);
    const auto uid = edit.append(lease->find_mailbox(mailbox)->id, prepared, "", {}, 0, 0, 0);
    edit.commit_flushed();
    return *uid;
  }

  static std::string rump(std::string_view access, std::string_view path = "Drafts/;UID=1") {
    return fmt::format("imap://alice%40example.test@mx.example.test/{};URLAUTH={}", path, access);
  }
  /// As alice's imapd makes it.
  std::string authorized(const std::string& rump) {
    const auto url = parse_imap_url(rump);
    auto lease = accounts->open(account("alice@example.test"));
    store::Edit edit(*lease);
    const std::string key = edit.make_url_key(lease->find_mailbox(url->mailbox)->id);
    edit.commit_flushed();
    return fmt::format("{}:INTERNAL:{}", rump, store::url_token(key, *url));
  }

  std::unique_ptr<Client> submitting(const std::string& user = "alice@example.test") {
    auto client = std::make_unique<Client>(port(Role::submission));
    go_on(*client, fmt::format(R"(
      S: 220 *
      C: EHLO client.example
      S: 250 ...
      C: AUTH PLAIN {}
      S: 235 *)",
                               base64("\0"s + user + "\0secret"s)));
    envelope(*client, user);
    return client;
  }
  void envelope(Client& client, const std::string& user = "alice@example.test") {
    go_on(client, fmt::format(R"(
      C: MAIL FROM:<{}>
      S: 250 *
      C: RCPT TO:<bob@example.test>
      S: 250 *)",
                              user));
  }
  std::string reply_to(Client& client, const std::string& line) {
    client.send(line + "\r\n");
    return client.reply().value_or("closed");
  }
  /// Of a message without our own fields.
  static std::string text_of(const Taken& message) {
    const size_t at = message.text.find("From: alice");
    return at == std::string::npos ? message.text : message.text.substr(at);
  }
};

TEST_F(BurlTest, IsOfferedToWhoLoggedIn) {
  const auto offered = [](Client& client) {
    client.send("EHLO client.example\r\n");
    std::string found;
    for (auto line = client.line(); line; line = client.line()) {
      if (line->substr(4).starts_with("BURL")) found = line->substr(4);
      if (line->starts_with("250 ")) break;
    }
    return found;
  };
  Client client(port(Role::submission));
  client.line();
  EXPECT_EQ(offered(client), "");
  EXPECT_EQ(reply_to(client, "AUTH PLAIN " + base64("\0alice@example.test\0secret"s)).substr(0, 3), "235");
  EXPECT_EQ(offered(client), "BURL imap imap://mx.example.test");
  Client other(port(Role::smtp));
  other.line();
  EXPECT_EQ(offered(other), "");
  go_on(other, R"(
    C: MAIL FROM:<carol@client.example>
    S: 250 *
    C: RCPT TO:<alice@example.test>
    S: 250 *
    C: BURL imap://mx.example.test/INBOX/;UID=1 LAST
    S: 502 5.5.1 *)");
}

TEST_F(BurlTest, IsNotOfferedWithoutAnImapServer) {
  configure([](Config& c) { c.imap.port = c.imaps.port = 0; });
  auto client = submitting();
  EXPECT_EQ(reply_to(*client, "BURL " + authorized(rump("anonymous")) + " LAST").substr(0, 9), "502 5.5.1");
}

TEST_F(BurlTest, SendsWhatIsThere) {
  for (std::string_view access : {"submit+alice%40example.test", "user+alice@example.test", "authuser", "anonymous"}) {
    auto client = submitting();
    const std::string reply = reply_to(*client, "BURL " + authorized(rump(access)) + " LAST");
    EXPECT_EQ(reply.substr(0, 9), "250 2.0.0") << access << ": " << reply;
    EXPECT_EQ(text_of(taken().back()), kDraft);
  }
  EXPECT_EQ(taken().size(), 4u);
  EXPECT_NE(taken().front().text.find("Message-ID: "), std::string::npos) << "what the client left out";
}

TEST_F(BurlTest, OwnMailNeedsNoToken) {
  auto client = submitting();
  for (std::string_view host : {"mx.example.test", "MX.example.test:143", "imap.example.test"}) {
    const std::string reply =
        reply_to(*client, fmt::format("BURL imap://alice%40example.test@{}/Drafts/;UID=1 LAST", host));
    EXPECT_EQ(reply.substr(0, 9), "250 2.0.0") << reply;
    envelope(*client);
  }
  EXPECT_EQ(taken().size(), 3u);
}

TEST_F(BurlTest, GoesWithChunksInAnyOrder) {
  auto client = submitting();
  go_on(*client, fmt::format(R"(
    C: BDAT 26
    C+ From: alice@example.test\r\n
    C: BURL {}
    C: BDAT 2
    C+ \r\n
    C: BURL {} LAST
    S: 250 2.0.0 26 octets received
    S: 250 2.0.0 18 octets received
    S: 250 2.0.0 2 octets received
    S: 250 2.0.0 * accepted)",
                             authorized(rump("anonymous", "Drafts/;UID=1/;SECTION=HEADER/;PARTIAL=26.18")),
                             authorized(rump("submit+alice%40example.test", "Drafts/;UID=1/;SECTION=TEXT"))));
  EXPECT_EQ(text_of(only_message()), "From: alice@example.test\r\nSubject: draft\r\n\r\n\r\nHello\r\n");
}

TEST_F(BurlTest, DataDoesNotFollow) {
  auto client = submitting();
  const std::string url = authorized(rump("anonymous"));
  EXPECT_EQ(reply_to(*client, "BURL " + url).substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "DATA").substr(0, 9), "503 5.5.1");
  EXPECT_EQ(reply_to(*client, "BDAT 0 LAST").substr(0, 9), "250 2.0.0");
}

TEST_F(BurlTest, NeedsARecipient) {
  auto client = submitting();
  const std::string url = authorized(rump("anonymous"));
  EXPECT_EQ(reply_to(*client, "RSET").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "BURL " + url + " LAST").substr(0, 9), "503 5.5.1");
  EXPECT_EQ(reply_to(*client, "MAIL FROM:<alice@example.test>").substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "BURL " + url + " LAST").substr(0, 9), "503 5.5.1");
}

TEST_F(BurlTest, RefusesWhatTheUserMayNotHave) {
  put("bob@example.test", "INBOX", kDraft);
  const std::string good = authorized(rump("submit+alice%40example.test"));
  struct Case {
    std::string url, user, code;
  };
  const std::string alice = "alice@example.test", bob = "bob@example.test";
  const std::string expired = "Drafts/;UID=1;EXPIRE=2001-01-01T00:00:00Z";
  std::string forged = good;
  forged.back() = forged.back() == '0' ? '1' : '0';
  for (const Case& one : {Case{good, bob, "554 5.6.6"},
                          {authorized(rump("user+alice%40example.test")), bob, "554 5.6.6"},
                          {forged, alice, "554 5.6.6"},
                          {rump("anonymous"), alice, "554 5.6.6"},
                          {authorized(rump("anonymous", "Drafts/;UID=2")), alice, "554 5.6.6"},
                          {authorized(rump("anonymous", expired)), alice, "554 5.6.6"},
                          {"imap://alice%40example.test@mx.example.test/Drafts/;UID=1", bob, "554 5.6.6"},
                          {"imap://bob%40example.test@mx.example.test/INBOX/;UID=1", alice, "554 5.6.6"},
                          {"imap://nobody%40example.test@mx.example.test/INBOX/;UID=1", alice, "554 5.6.6"},
                          {"imap://alice%40example.test@mx.example.test/Nowhere/;UID=1", alice, "554 5.6.6"},
                          {"/Drafts/;UID=1", alice, "554 5.7.8"},
                          {"http://mx.example.test/x", alice, "554 5.6.6"},
                          {"imap://alice%40example.test@imap.elsewhere.example/Drafts/;UID=1", alice, "554 5.7.8"},
                          {"imap://alice%40example.test@127.0.0.1/Drafts/;UID=1", alice, "554 5.7.8"}}) {
    for (const char* last : {" LAST", ""}) {
      auto client = submitting(one.user);
      EXPECT_EQ(reply_to(*client, "BURL " + one.url + last).substr(0, 9), one.code) << one.url;
      EXPECT_EQ(reply_to(*client, "BDAT 0 LAST").substr(0, 9), "503 5.5.1") << "the transaction is over";
      envelope(*client, one.user);
    }
  }
  EXPECT_TRUE(taken().empty());
  auto client = submitting();
  EXPECT_EQ(reply_to(*client, "BURL").substr(0, 9), "501 5.5.4");
  EXPECT_EQ(reply_to(*client, "BURL " + good + " FIRST").substr(0, 9), "501 5.5.4");
  EXPECT_EQ(reply_to(*client, "BURL " + good + " LAST").substr(0, 9), "250 2.0.0") << "nothing was lost by that";
}

TEST_F(BurlTest, CountsForTheLimit) {
  configure([](Config& c) { c.smtp.max_message_size = 1'000; });
  put("alice@example.test", "Drafts", std::string(kDraft) + std::string(600, 'x') + "\r\n");
  auto client = submitting();
  const std::string url = authorized(rump("anonymous", "Drafts/;UID=2"));
  EXPECT_EQ(reply_to(*client, "BURL " + url).substr(0, 3), "250");
  EXPECT_EQ(reply_to(*client, "BURL " + url + " LAST").substr(0, 9), "552 5.3.4");
  EXPECT_TRUE(taken().empty());
}

TEST_F(BurlTest, LargeMessagesGoThroughTheSpool) {
  std::string large(kDraft);
  while (large.size() < 900'000) large += std::string(70, static_cast<char>('a' + large.size() % 26)) + "\r\n";
  put("alice@example.test", "Drafts", large);
  auto client = submitting();
  EXPECT_EQ(reply_to(*client, "BURL " + authorized(rump("authuser", "Drafts/;UID=2")) + " LAST").substr(0, 9),
            "250 2.0.0");
  EXPECT_EQ(text_of(only_message()), large);
}

TEST_F(BurlTest, BareLineEndsAreNotSentOn) {
  put("alice@example.test", "Drafts", "From: alice@example.test\r\n\r\nsmuggled\n.\nMAIL FROM:<x@y.example>\r\n");
  auto client = submitting();
  EXPECT_EQ(reply_to(*client, "BURL " + authorized(rump("anonymous", "Drafts/;UID=2")) + " LAST").substr(0, 9),
            "550 5.6.0");
}

}  // namespace
}  // namespace postrider
