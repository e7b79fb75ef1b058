// STARTTLS to its end, and what is bound to the TLS connection: SCRAM-SHA-256-PLUS (RFC 7677, RFC 9266).
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/base/number.h"
#include "common/sasl/password.h"
#include "tests/imapd/transcript.h"
#include "tests/net/loop.h"

namespace postrider::imap {
namespace {

using namespace std::chrono_literals;

/// A client in TLS that keeps what it was told.
class TlsClient {
 public:
  asio::awaitable<void> connect(uint16_t port) {
    asio::ip::tcp::endpoint remote(asio::ip::address_v4::loopback(), port);
    connection_ = co_await net::connect(remote, 10s);
    connection_->set_deadline(20s);
    co_await line();
    co_await say("t STARTTLS");
    co_await line();
    co_await connection_->start_tls_client(net::TlsClientContext::make(), "mail.example.test");
  }

  asio::awaitable<void> say(std::string text) {
    text += "\r\n";
    co_await connection_->write(text);
  }

  asio::awaitable<std::string> line() {
    size_t end = std::string_view::npos;
    while ((end = connection_->input().find("\r\n")) == std::string_view::npos) co_await connection_->read_more();
    std::string text(connection_->input().substr(0, end));
    connection_->consume(end + 2);
    co_return text;
  }

  net::Connection& connection() { return *connection_; }

 private:
  std::shared_ptr<net::Connection> connection_;
};

std::string exclusive_or(std::string_view a, std::string_view b) {
  std::string out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(static_cast<char>(a[i] ^ b[i]));
  return out;
}

/// The tagged answer. header: the gs2 header; binding: what is said to be the channel.
asio::awaitable<std::string> scram(TlsClient& client, std::string mechanism, std::string header, std::string binding) {
  std::string bare = "n=alice@example.test,r=abcdefgh";
  co_await client.say("s AUTHENTICATE " + mechanism + " " + base64_encode(header + bare));
  std::string answer = co_await client.line();
  if (!answer.starts_with("+ ")) co_return answer;
  std::string first = base64_decode(answer.substr(2)).value_or("");
  size_t salt = first.find(",s="), count = first.find(",i=");
  std::string nonce = first.substr(2, salt - 2);
  int iterations = parse_number<int>(first.substr(count + 3)).value_or(1);
  std::string salted = base64_decode(first.substr(salt + 3, count - salt - 3)).value_or("");
  // derive_scram_keys gives what the server keeps; the client key is worked out as in RFC 5802 3.
  std::string password = sasl::hmac_sha256("secret", salted + std::string("\0\0\0\1", 4));
  std::string sum = password;
  for (int i = 1; i < iterations; ++i) {
    password = sasl::hmac_sha256("secret", password);
    sum = exclusive_or(sum, password);
  }
  std::string client_key = sasl::hmac_sha256(sum, "Client Key");
  std::string without_proof = "c=" + base64_encode(header + binding) + ",r=" + nonce;
  std::string signature = sasl::hmac_sha256(sasl::sha256(client_key), bare + "," + first + "," + without_proof);
  co_await client.say(base64_encode(without_proof + ",p=" + base64_encode(exclusive_or(client_key, signature))));
  answer = co_await client.line();
  if (!answer.starts_with("+ ")) co_return answer;
  co_await client.say("");
  co_return co_await client.line();
}

struct Tls : testing::Test {
  Tls() : t(options()) {}
  static Transcript::Options options() {
    Transcript::Options with_tls;
    with_tls.tls = true;
    return with_tls;
  }
  Transcript t;
  net::Loop loop;
};

TEST_F(Tls, CarriesASessionAfterStartTls) {
  t.deliver("INBOX", kMessage);
  std::vector<std::string> lines;
  auto speak = [&]() -> asio::awaitable<void> {
    TlsClient client;
    co_await client.connect(t.port());
    co_await client.say("a CAPABILITY");
    lines.push_back(co_await client.line());
    lines.push_back(co_await client.line());
    co_await client.say("b STARTTLS");
    lines.push_back(co_await client.line());
    co_await client.say("c LOGIN alice@example.test secret");
    lines.push_back(co_await client.line());
    co_await client.say("d STATUS INBOX (MESSAGES)");
    lines.push_back(co_await client.line());
  };
  loop.run(speak());
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_TRUE(fits(lines[0], "* CAPABILITY ... AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN...")) << lines[0];
  EXPECT_EQ(lines[0].find("STARTTLS"), std::string::npos);
  EXPECT_TRUE(fits(lines[2], "b BAD ..."));
  EXPECT_TRUE(fits(lines[3], "c OK ..."));
  EXPECT_EQ(lines[4], "* STATUS INBOX (MESSAGES 1)");
}

TEST_F(Tls, BindsScramToTheConnection) {
  std::vector<std::string> answers;
  auto speak = [&](std::string mechanism, std::string header, bool right) -> asio::awaitable<void> {
    TlsClient client;
    co_await client.connect(t.port());
    std::string binding;
    if (mechanism.ends_with("PLUS")) binding = right ? client.connection().tls_exporter() : std::string(32, 'x');
    answers.push_back(co_await scram(client, mechanism, header, binding));
  };
  loop.run(speak("SCRAM-SHA-256-PLUS", "p=tls-exporter,,", true));
  loop.run(speak("SCRAM-SHA-256", "n,,", true));
  loop.run(speak("SCRAM-SHA-256-PLUS", "p=tls-exporter,,", false));
  loop.run(speak("SCRAM-SHA-256", "y,,", true));
  loop.run(speak("SCRAM-SHA-256-PLUS", "p=tls-unique,,", true));
  loop.run(speak("SCRAM-SHA-256-PLUS", "n,,", true));
  ASSERT_EQ(answers.size(), 6u);
  EXPECT_TRUE(fits(answers[0], "s OK ...")) << answers[0];
  EXPECT_TRUE(fits(answers[1], "s OK ...")) << answers[1];
  EXPECT_TRUE(fits(answers[2], "s NO [AUTHENTICATIONFAILED] ...")) << "another channel: somebody is in between";
  EXPECT_TRUE(fits(answers[3], "s NO [AUTHENTICATIONFAILED] ...")) << "the offer of PLUS was taken away";
  EXPECT_TRUE(fits(answers[4], "s BAD ..."));
  EXPECT_TRUE(fits(answers[5], "s BAD ..."));
}

TEST(TlsOnly, OffersNoChannelBindingInClear) {
  Transcript t;
  Client& c = t.stranger('A');
  c.send("a AUTHENTICATE SCRAM-SHA-256-PLUS\r\n");
  EXPECT_TRUE(fits(c.line(), "a NO ..."));
}

}  // namespace
}  // namespace postrider::imap
