// TLS on a connection, and where certificates come from.
#include "common/net/tls.h"

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "common/net/daemon.h"
#include "tests/net/loop.h"

namespace postrider::net {
namespace {

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_self_signed(certificate_, key_, "mail.example.org");
    ASSERT_TRUE(made) << made.error().message;
    auto loaded = TlsServerContext::load(certificate_, key_);
    ASSERT_TRUE(loaded) << loaded.error().message;
    context_ = *loaded;
  }

  asio::awaitable<void> serve() { clean_ = co_await pair_.server->start_tls(context_); }
  asio::awaitable<void> join(std::string name) {
    co_await pair_.client->start_tls_client(client_context_, std::move(name));
  }

  void handshake(const std::string& name = "mail.example.org") {
    loop_.spawn(serve());
    loop_.run(join(name));
  }

  void exchange(Connection& from, Connection& to, const std::string& text) {
    std::string got;
    auto receive = [&]() -> asio::awaitable<void> { got = co_await take(to, text.size()); };
    auto send = [&]() -> asio::awaitable<void> { co_await from.write(text); };
    loop_.spawn(send());
    loop_.run(receive());
    EXPECT_TRUE(got == text) << "what arrived is not what was sent";
  }

  TemporaryFolder folder_;
  std::string certificate_ = folder_ / "tls/certificate.pem", key_ = folder_ / "tls/key.pem";
  std::shared_ptr<TlsServerContext> context_;
  std::shared_ptr<TlsClientContext> client_context_ = TlsClientContext::make();
  Loop loop_;
  Loop::Pair pair_ = loop_.connection_pair();
  bool clean_ = false;
};

TEST_F(TlsTest, HandshakeAndBothDirections) {
  handshake();
  EXPECT_TRUE(clean_);
  EXPECT_TRUE(pair_.server->encrypted());
  exchange(*pair_.client, *pair_.server, "EHLO client.example\r\n");
  exchange(*pair_.server, *pair_.client, "250 mail.example.org\r\n");
}

TEST_F(TlsTest, MoreThanTheSocketsHoldGoesThrough) {
  handshake();
  std::string large(4 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * 7 % 23);
  exchange(*pair_.server, *pair_.client, large);
}

TEST_F(TlsTest, TellsProtocolCipherAndName) {
  handshake();
  const TlsSession session = pair_.server->tls();
  EXPECT_EQ(session.protocol, "TLSv1.3");
  EXPECT_FALSE(session.cipher.empty());
  EXPECT_GE(session.bits, 128);
  EXPECT_EQ(session.server_name, "mail.example.org");
}

TEST_F(TlsTest, BothSidesHaveTheSameChannelBinding) {
  handshake();
  EXPECT_EQ(pair_.server->tls_exporter().size(), 32U);
  EXPECT_EQ(pair_.server->tls_exporter(), pair_.client->tls_exporter());
}

TEST_F(TlsTest, ASessionIsNotResumedWithAnotherPeer) {
  handshake();
  EXPECT_FALSE(pair_.client->tls().resumed);
  exchange(*pair_.server, *pair_.client, "the ticket comes before this");
  // The other side's port is another one: for the client, another server.
  pair_ = loop_.connection_pair();
  handshake();
  EXPECT_FALSE(pair_.client->tls().resumed);
}

TEST_F(TlsTest, PlainTextThatWasInjectedBeforeTheHandshakeIsDiscarded) {
  auto server = [&]() -> asio::awaitable<void> {
    co_await pair_.server->read_more();
    pair_.server->consume(std::string_view("STARTTLS\r\n").size());
    EXPECT_EQ(pair_.server->input(), "MAIL FROM:<evil@example.net>\r\n");
    co_await pair_.server->write("220 go ahead\r\n");
    clean_ = co_await pair_.server->start_tls(context_);
    EXPECT_EQ(pair_.server->input(), "");
    EXPECT_EQ(co_await take(*pair_.server, 6), "EHLO x");
  };
  auto client = [&]() -> asio::awaitable<void> {
    co_await pair_.client->write("STARTTLS\r\nMAIL FROM:<evil@example.net>\r\n");
    EXPECT_EQ(co_await take(*pair_.client, 14), "220 go ahead\r\n");
    co_await pair_.client->start_tls_client(client_context_, "mail.example.org");
    co_await pair_.client->write("EHLO x");
  };
  clean_ = true;
  loop_.spawn(server());
  loop_.run(client());
  EXPECT_FALSE(clean_);
}

TEST_F(TlsTest, AClientRefusesPlainTextAfterTheReply) {
  std::optional<EndReason> reason;
  auto client = [&]() -> asio::awaitable<void> {
    co_await pair_.server->write("220 ready\r\n250 injected\r\n");
    co_await pair_.client->read_more();
    pair_.client->consume(11);
    co_await pair_.client->start_tls_client(client_context_, "mail.example.org");
  };
  loop_.run(catch_end(client(), reason));
  EXPECT_EQ(reason, EndReason::tls_failed);
}

TEST_F(TlsTest, WhatIsNoTlsFailsTheHandshake) {
  std::optional<EndReason> reason;
  auto client = [&]() -> asio::awaitable<void> { co_await pair_.client->write("EHLO this is no ClientHello\r\n"); };
  loop_.spawn(client());
  loop_.run(catch_end(serve(), reason));
  EXPECT_EQ(reason, EndReason::tls_failed);
}

TEST_F(TlsTest, APeerThatLeavesDuringTheHandshakeFailsIt) {
  std::optional<EndReason> reason;
  pair_.client->close();
  loop_.run(catch_end(serve(), reason));
  EXPECT_EQ(reason, EndReason::tls_failed);
}

TEST_F(TlsTest, TheDeadlineHoldsDuringTheHandshake) {
  std::optional<EndReason> reason;
  pair_.server->set_deadline(std::chrono::milliseconds(20));
  loop_.run(catch_end(serve(), reason));
  EXPECT_EQ(reason, EndReason::timed_out);
}

TEST_F(TlsTest, AnUnknownCertificateIsTakenAndNotedAsUnverified) {
  handshake();
  EXPECT_FALSE(pair_.client->tls().verified);
}

TEST_F(TlsTest, ATrustedCertificateForThatNameIsVerified) {
  ASSERT_TRUE(client_context_->trust(certificate_));
  handshake();
  EXPECT_TRUE(pair_.client->tls().verified);
}

TEST_F(TlsTest, ATrustedCertificateForAnotherNameIsNotVerified) {
  ASSERT_TRUE(client_context_->trust(certificate_));
  handshake("other.example.org");
  EXPECT_FALSE(pair_.client->tls().verified);
}

TEST_F(TlsTest, CloseTellsThePeer) {
  handshake();
  pair_.server->queue("* BYE\r\n");
  pair_.server->close();
  std::string got;
  auto receive = [&]() -> asio::awaitable<void> { got = co_await take_all(*pair_.client); };
  loop_.run(receive());
  EXPECT_EQ(got, "* BYE\r\n");
}

TEST_F(TlsTest, NotifyAndInputBothWakeAnIdlingSession) {
  handshake();
  std::vector<Connection::Wake> wakes;
  auto idle = [&]() -> asio::awaitable<void> {
    wakes.push_back(co_await pair_.server->wait_input_or_notify());
    wakes.push_back(co_await pair_.server->wait_input_or_notify());
    EXPECT_EQ(co_await take(*pair_.server, 6), "DONE\r\n");
  };
  auto others = [&]() -> asio::awaitable<void> {
    co_await asio::post(loop_.context(), asio::use_awaitable);
    pair_.server->notify();
    co_await asio::post(loop_.context(), asio::use_awaitable);
    co_await pair_.client->write("DONE\r\n");
  };
  loop_.spawn(idle());
  loop_.run(others());
  EXPECT_EQ(wakes, (std::vector{Connection::Wake::notified, Connection::Wake::input}));
}

// --- files

TEST_F(TlsTest, ASelfSignedCertificateIsForItsHostForTenYears) {
  auto facts = inspect_certificate(certificate_, "mail.example.org");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(facts->covers_host);
  EXPECT_TRUE(facts->self_signed);
  EXPECT_GT(facts->not_after, std::time(nullptr) + int64_t{9} * 365 * 86'400);
  EXPECT_FALSE(inspect_certificate(certificate_, "www.example.org")->covers_host);
}

TEST_F(TlsTest, TheKeyIsNotForEverybodysEyes) {
  struct stat facts {};
  ASSERT_EQ(::stat(key_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0640U);
}

TEST_F(TlsTest, FilesThatAreThereAreLeftAlone) {
  const auto before = std::filesystem::last_write_time(certificate_);
  ASSERT_TRUE(make_self_signed(certificate_, key_, "other.example.org"));
  EXPECT_EQ(std::filesystem::last_write_time(certificate_), before);
  EXPECT_FALSE(inspect_certificate(certificate_, "other.example.org")->covers_host);
}

TEST_F(TlsTest, AnAddressGetsACertificateForTheAddress) {
  ASSERT_TRUE(make_self_signed(folder_ / "ip.pem", folder_ / "ip.key", "127.0.0.1"));
  EXPECT_TRUE(inspect_certificate(folder_ / "ip.pem", "127.0.0.1")->covers_host);
}

TEST_F(TlsTest, AMissingFileIsNamed) {
  auto loaded = TlsServerContext::load(folder_ / "nothing.pem", key_);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("nothing.pem"), std::string::npos);
}

TEST_F(TlsTest, AKeyOfAnotherCertificateIsRefused) {
  ASSERT_TRUE(make_self_signed(folder_ / "b.pem", folder_ / "b.key", "b.example.org"));
  EXPECT_FALSE(TlsServerContext::load(certificate_, folder_ / "b.key"));
}

TEST_F(TlsTest, AStoreTakesUpANewCertificateAndKeepsTheOldOneUntilBothFilesFit) {
  auto store = TlsStore::open({{certificate_, key_}});
  ASSERT_TRUE(store) << store.error().message;
  const auto first = (*store)->current();
  EXPECT_FALSE((*store)->reload_if_changed());
  ASSERT_TRUE(make_self_signed(folder_ / "b.pem", folder_ / "b.key", "b.example.org"));
  std::filesystem::rename(folder_ / "b.pem", certificate_);
  EXPECT_FALSE((*store)->reload_if_changed());
  EXPECT_EQ((*store)->current(), first);
  std::filesystem::rename(folder_ / "b.key", key_);
  EXPECT_TRUE((*store)->reload_if_changed());
  EXPECT_NE((*store)->current(), first);
}

TEST_F(TlsTest, AStoreOutlivesTheLoopThatItLooksFrom) {
  auto store = TlsStore::open({{certificate_, key_}});
  ASSERT_TRUE(store) << store.error().message;
  {
    asio::io_context loop;
    (*store)->watch(loop);
    EXPECT_EQ(loop.poll(), 1U);
    EXPECT_FALSE(loop.stopped());  // it waits for the next time
  }
  EXPECT_TRUE((*store)->current());
}

}  // namespace
}  // namespace postrider::net
