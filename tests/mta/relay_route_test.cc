// Where mail goes, by the answers of a real name server.
#include "mta/relay_route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <set>
#include <thread>

#include "mta/relay_dial.h"
#include "tests/mta/name_server.h"
#include "tests/mta/relay_server.h"

namespace postrider {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;
using testing::UnorderedElementsAre;

std::vector<std::string> records() {
  std::vector<std::string> list{
      "two.test. MX 20 backup.test.",
      "two.test. MX 10 mx.test.",
      "same.test. MX 10 mx.test.",
      "same.test. MX 20 backup.test.",
      "ties.test. MX 10 a.ties.test.",
      "ties.test. MX 10 b.ties.test.",
      "ties.test. MX 10 c.ties.test.",
      "implicit.test. A 127.0.0.9",
      "null.test. MX 0 .",
      "nullandmore.test. MX 0 .",
      "nullandmore.test. MX 10 mx.test.",
      "nothing.test. TXT text",
      "hostless.test. MX 10 nowhere.test.",
      "brokenhost.test. MX 10 mx.broken.test.",
      "halfbroken.test. MX 10 mx.broken.test.",
      "halfbroken.test. MX 20 backup.test.",
      "ring.test. CNAME ring2.test.",
      "ring2.test. CNAME ring.test.",
      "us.test. MX 10 MX.Example.Org.",
      "us.test. MX 20 mx.test.",
      "second.test. MX 10 mx.test.",
      "second.test. MX 20 mx.example.org.",
      "second.test. MX 30 backup.test.",
      "ouraddress.test. MX 10 alias.test.",
      "ouraddress.test. MX 20 mx.test.",
      "oursecond.test. MX 10 mx.test.",
      "oursecond.test. MX 20 alias.test.",
      "oursecond.test. MX 20 backup.test.",
      "private.test. MX 10 inside.test.",
      "loopback.test. MX 10 localhost.test.",
      "mixed.test. MX 10 inside.test.",
      "mixed.test. MX 20 outside.test.",
      "mx.test. A 127.0.0.2",
      "mx.test. AAAA ::1",
      "backup.test. A 127.0.0.3",
      "alias.test. A 127.0.0.77",
      "inside.test. A 10.1.2.3",
      "inside.test. AAAA fd00::1",
      "localhost.test. A 127.0.0.1",
      "outside.test. A 192.0.2.1",
      "3.2.1.10.in-addr.arpa. PTR inside.test.",
      "2.1.16.172.in-addr.arpa. PTR inside.test.",
      "2.1.168.192.in-addr.arpa. PTR inside.test.",
      "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR inside.test.",
  };
  for (int i = 0; i < 500; ++i) list.push_back(fmt::format("many.test. MX {} host-{}.many.test.", 10 + i % 7, i));
  for (int i = 0; i < 500; ++i)
    list.push_back(fmt::format("host-{}.many.test. A 127.1.{}.{}", i, i / 250, i % 250 + 1));
  return list;
}

class RouterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new NameServer(records(), {"broken.test."}); }
  static void TearDownTestSuite() { delete server_; }

  RouterTest() {
    settings_.hostname = "mx.example.org";
    settings_.port = 2525;
    settings_.dns.server = server_->address();
    settings_.private_addresses = true;
    settings_.ours = {{asio::ip::make_address("127.0.0.77"), 2525}};
  }
  SmtpRoutePtr find(const std::string& domain) {
    if (router_ == nullptr) router_ = std::make_unique<Router>(loop_, settings_);
    SmtpRoutePtr route;
    run([&]() -> asio::awaitable<void> { route = co_await router_->find(domain); });
    return route;
  }
  RelayAddresses addresses(const std::string& domain) {
    SmtpRoutePtr route = find(domain);
    RelayAddresses found;
    run([&]() -> asio::awaitable<void> { found = co_await router_->addresses(route); });
    return found;
  }
  std::vector<std::string> hosts(const std::string& domain) {
    std::vector<std::string> names;
    SmtpRoutePtr route = find(domain);
    for (const MxRecord& host : route->hosts) names.push_back(host.host);
    return names;
  }
  std::vector<std::string> endpoints(const std::string& domain) {
    std::vector<std::string> texts;
    RelayAddresses found = addresses(domain);
    for (const RelayAddress& address : found.list) texts.push_back(address.endpoint.address().to_string());
    return texts;
  }
  /// Of finding the route, or else the addresses.
  Outcome failure(const std::string& domain) {
    SmtpRoutePtr route = find(domain);
    if (route->failure) return *route->failure;
    RelayAddresses found = addresses(domain);
    EXPECT_TRUE(found.failure) << domain;
    return found.failure.value_or(Outcome());
  }
  template <class Task>
  void run(Task task) {
    bool done = false;
    asio::co_spawn(loop_, task, [&](std::exception_ptr error) {
      EXPECT_EQ(error, nullptr);
      done = true;
    });
    loop_.restart();
    while (!done) loop_.run_one();
  }
  using Kind = Outcome::Kind;

  static NameServer* server_;
  asio::io_context loop_;
  RouterSettings settings_;
  std::unique_ptr<Router> router_;
};
NameServer* RouterTest::server_ = nullptr;

TEST_F(RouterTest, TheBestPreferenceComesFirst) {
  EXPECT_THAT(hosts("two.test"), ElementsAre("mx.test", "backup.test"));
  EXPECT_THAT(endpoints("two.test"), ElementsAre("::1", "127.0.0.2", "127.0.0.3"));
  EXPECT_EQ(addresses("two.test").list[0].endpoint.port(), 2525);
}

TEST_F(RouterTest, HostsOfOnePreferenceTakeTurns) {
  std::set<std::string> first;
  for (int i = 0; i < 60; ++i) first.insert(hosts("ties.test").at(0));
  EXPECT_THAT(first, SizeIs(3));
}

TEST_F(RouterTest, DomainsWithTheSameHostsAreOneDestination) {
  EXPECT_EQ(find("two.test")->key, find("same.test")->key);
  EXPECT_EQ(find("ties.test")->key, find("ties.test")->key) << "in whatever order";
  EXPECT_NE(find("two.test")->key, find("ties.test")->key);
}

TEST_F(RouterTest, WithoutMxTheDomainIsTheHost) {
  EXPECT_THAT(endpoints("implicit.test"), ElementsAre("127.0.0.9"));
}

TEST_F(RouterTest, ADomainThatTakesNoMail) {
  EXPECT_EQ(failure("null.test").status, "5.1.10");
  EXPECT_EQ(failure("null.test").kind, Kind::permanent);
  EXPECT_THAT(hosts("nullandmore.test"), ElementsAre("mx.test"));
}

TEST_F(RouterTest, ADomainThatIsNotThereBounces) {
  Outcome outcome = failure("nobody.test");
  EXPECT_EQ(outcome.status, "5.1.2");
  EXPECT_EQ(outcome.kind, Kind::permanent);
  EXPECT_EQ(failure("nothing.test").kind, Kind::permanent) << "it is there, and has no address";
  EXPECT_EQ(failure("nothing.test").status, "5.4.4");
  EXPECT_EQ(failure("hostless.test").status, "5.4.4");
}

TEST_F(RouterTest, ANameServerThatFailsMeansLater) {
  for (const char* domain : {"broken.test", "brokenhost.test", "ring.test"}) {
    Outcome outcome = failure(domain);
    EXPECT_EQ(outcome.kind, Kind::unreachable) << domain;
    EXPECT_EQ(outcome.status, "4.4.3") << domain;
  }
  EXPECT_THAT(endpoints("halfbroken.test"), ElementsAre("127.0.0.3")) << "one host is enough";
}

TEST_F(RouterTest, FiveHundredHostsAreTooMany) {
  EXPECT_THAT(hosts("many.test"), SizeIs(kMaxMxHosts));
  SmtpRoutePtr route = find("many.test");
  for (const MxRecord& host : route->hosts) EXPECT_EQ(host.preference, 10);
  EXPECT_THAT(endpoints("many.test"), SizeIs(Le(kMaxRelayAddresses)));
}

TEST_F(RouterTest, MailThatWouldComeBackDoesNotLeave) {
  EXPECT_EQ(failure("us.test").status, "5.4.6");
  EXPECT_EQ(failure("mx.example.org").kind, Kind::permanent);
  EXPECT_THAT(hosts("second.test"), ElementsAre("mx.test"));
}

TEST_F(RouterTest, AnAddressOfOursIsWeUnderAnotherName) {
  EXPECT_EQ(failure("ouraddress.test").status, "5.4.6");
  EXPECT_THAT(endpoints("oursecond.test"), ElementsAre("::1", "127.0.0.2"));
}

TEST_F(RouterTest, InternalAddressesInTheDnsOfStrangersAreNotDialled) {
  settings_.private_addresses = false;
  for (const char* domain :
       {"private.test", "loopback.test", "[127.0.0.1]", "[10.0.0.1]", "[169.254.1.1]", "[IPv6:::1]", "[IPv6:fd00::1]",
        "[IPv6:fe80::1]", "[IPv6:::ffff:127.0.0.1]", "[0.0.0.0]", "[224.0.0.1]"}) {
    Outcome outcome = failure(domain);
    EXPECT_EQ(outcome.status, "5.4.4") << domain;
    EXPECT_EQ(outcome.kind, Kind::permanent) << domain;
  }
  EXPECT_THAT(endpoints("mixed.test"), ElementsAre("192.0.2.1"));
  settings_.routes["private.test"] = config::parse_route("inside.test:25").value();
  router_.reset();
  EXPECT_THAT(endpoints("private.test"), ElementsAre("fd00::1", "10.1.2.3")) << "unless the administrator says so";
}

TEST_F(RouterTest, ANameServerThatIsNamedIsAskedForPrivateAddressesToo) {
  Resolver resolver(loop_, settings_.dns);
  for (const char* name : {"3.2.1.10.in-addr.arpa", "2.1.16.172.in-addr.arpa", "2.1.168.192.in-addr.arpa",
                           "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"}) {
    DnsAnswer answer;
    run([&]() -> asio::awaitable<void> { answer = co_await resolver.ask(name, DnsType::ptr); });
    ASSERT_THAT(answer.records, SizeIs(1)) << name;
    EXPECT_EQ(parse_name(answer.records.front()), "inside.test");
  }
}

TEST_F(RouterTest, AddressLiterals) {
  settings_.private_addresses = false;
  EXPECT_THAT(endpoints("[192.0.2.1]"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(endpoints("[IPv6:2001:db8::1]"), ElementsAre("2001:db8::1"));
  EXPECT_EQ(failure("[192.0.2]").status, "5.1.2");
  EXPECT_EQ(failure("[x:y]").status, "5.1.2");
}

TEST_F(RouterTest, RoutesComeBeforeTheSmartHostAndThatBeforeDns) {
  settings_.routes["two.test"] = config::parse_route("127.0.0.5:26").value();
  settings_.smart_host = config::parse_route("smtps:127.0.0.6:465").value();
  RelayLogin login{"user", "secret"};
  settings_.smart_host_login = std::make_shared<const RelayLogin>(login);
  settings_.smart_host_tls = config::TlsLevel::verified;
  EXPECT_THAT(endpoints("two.test"), ElementsAre("127.0.0.5"));
  EXPECT_EQ(find("two.test")->login, nullptr) << "the password is the smart host's";
  EXPECT_THAT(endpoints("same.test"), ElementsAre("127.0.0.6"));
  EXPECT_EQ(find("same.test")->login->user, "user");
  EXPECT_EQ(find("same.test")->key, find("ties.test")->key);
  EXPECT_NE(find("same.test")->key, find("two.test")->key);
  settings_.routes["*"] = config::parse_route("127.0.0.7:25").value();
  router_->configure(settings_);
  EXPECT_THAT(endpoints("same.test"), ElementsAre("127.0.0.7"));
}

TEST_F(RouterTest, LimitsOfADomainMakeItADestinationOfItsOwn) {
  settings_.limits["same.test"] = {1, 2, 3};
  settings_.limits["ties.test"] = {4, 5, 6};
  settings_.limits["b.ties.test"] = {7, 8, 9};
  EXPECT_NE(find("two.test")->key, find("same.test")->key);
  EXPECT_EQ(find("same.test")->limits.connections, 1u);
  EXPECT_EQ(find("two.test")->limits, RouteLimits());
  EXPECT_EQ(find("ties.test")->limits.connections, 4u);
}

TEST_F(RouterTest, LimitsOfAMailHostHoldForAllWhoUseIt) {
  settings_.limits["test"] = {9, 0, 0};
  settings_.limits["mx.test"] = {2, 0, 0};
  EXPECT_EQ(find("two.test")->limits.connections, 2u) << "the longest name counts";
  EXPECT_EQ(find("ties.test")->limits.connections, 9u);
  EXPECT_EQ(find("two.test")->key, find("same.test")->key);
}

/// A port that takes no connection and refuses none, as a dead host's does: its queue is full.
class DeadPort {
 public:
  DeadPort() : acceptor_(loop_), first_(loop_) {
    acceptor_.open(asio::ip::tcp::v4());
    acceptor_.bind({asio::ip::make_address("127.0.0.2"), 0});
    acceptor_.listen(0);
    first_.connect(acceptor_.local_endpoint());  // the queue holds one; what comes after it gets no answer
  }
  uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  asio::io_context loop_;
  asio::ip::tcp::acceptor acceptor_;
  asio::ip::tcp::socket first_;
};

TEST_F(RouterTest, ADeadAddressCostsAFractionOfASecond) {
  DeadPort dead;
  RelayServer live("127.0.0.3", dead.port());
  std::vector<RelayAddress> list;
  for (const char* address : {"127.0.0.2", "127.0.0.2", "127.0.0.3"}) {
    list.push_back({"mx.test", {asio::ip::make_address(address), dead.port()}, 10, nullptr, {}});
  }
  Dialer dialer(list, std::chrono::seconds(30));
  std::shared_ptr<net::Connection> connection;
  auto begin = std::chrono::steady_clock::now();
  run([&]() -> asio::awaitable<void> { connection = co_await dialer.next(); });
  auto taken = std::chrono::steady_clock::now() - begin;
  ASSERT_NE(connection, nullptr);
  EXPECT_EQ(dialer.address().endpoint.address().to_string(), "127.0.0.3");
  EXPECT_GE(taken, kHeadStart) << "the others had their chance";
  EXPECT_LT(taken, std::chrono::seconds(3));
  connection->close();
}

TEST_F(RouterTest, WithoutATrustAnchorNothingIsSecure) {
  EXPECT_FALSE(find("signed.test")->secure);
}

TEST_F(RouterTest, WhatDnssecVouchesForIsKnown) {
  settings_.dns = dns_settings(server_->address(), server_->trust_anchor());
  EXPECT_TRUE(find("signed.test")->secure);
  RelayAddresses found = addresses("signed.test");
  ASSERT_THAT(found.list, SizeIs(1));
  EXPECT_EQ(failure("nobody.signed.test").status, "5.1.2");
  EXPECT_FALSE(find("two.test")->secure);
}

TEST_F(RouterTest, ASignatureThatDoesNotFitMeansLater) {
  settings_.dns = dns_settings(server_->address(), server_->wrong_anchor());
  for (const char* domain : {"signed.test", "nobody.signed.test"}) {
    Outcome outcome = failure(domain);
    EXPECT_EQ(outcome.kind, Kind::unreachable) << domain;
    EXPECT_EQ(outcome.status, "4.4.3") << domain;
  }
}

TEST_F(RouterTest, NamesThatCannotBeValidatedAreNotUsedWhereThatIsWanted) {
  settings_.dns = dns_settings(server_->address(), "/usr/share/dns/root.key");
  ASSERT_TRUE(settings_.dns.anchor_asked_for);
  Outcome outcome = failure("two.test");
  EXPECT_EQ(outcome.kind, Kind::unreachable);
  EXPECT_EQ(outcome.status, "4.4.3");
}

TEST_F(RouterTest, BehindNameServersThatKnowNoDnssecMailGoesWithout) {
  settings_.dns.trust_anchor = "/usr/share/dns/root.key";
  EXPECT_THAT(hosts("two.test"), ElementsAre("mx.test", "backup.test"));
  EXPECT_FALSE(find("two.test")->secure);
}

/// A name server that answers every question with the same octets behind the question's number.
class Nonsense {
 public:
  explicit Nonsense(std::string answer)
      : answer_(std::move(answer)), socket_(loop_, {asio::ip::make_address("127.0.0.1"), 0}) {
    thread_ = std::thread([this] {
      char question[512];
      asio::ip::udp::endpoint from;
      for (;;) {
        std::error_code error;
        const size_t size = socket_.receive_from(asio::buffer(question), from, 0, error);
        if (stop_) return;
        if (error || size < 12) continue;
        ++asked;
        // The header says: a question and an answer. The question comes back as it was.
        size_t end = 12;
        while (end < size && question[end] != 0) end += static_cast<size_t>(question[end]) + 1;
        std::string reply(question, 2);
        reply += std::string("\x81\x80\0\1\0\1\0\0\0\0", 10) + std::string(question + 12, end + 5 - 12) + answer_;
        socket_.send_to(asio::buffer(reply), from, 0, error);
      }
    });
  }
  ~Nonsense() {
    stop_ = true;
    asio::ip::udp::socket waker(loop_, asio::ip::udp::v4());
    waker.send_to(asio::buffer("x", 1), socket_.local_endpoint());
    thread_.join();
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", socket_.local_endpoint().port()); }
  std::atomic<int> asked = 0;

 private:
  std::string answer_;
  asio::io_context loop_;
  asio::ip::udp::socket socket_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST_F(RouterTest, AnswersThatAreNoneMeanLater) {
  const std::string mx("\0\x0f\0\1\0\0\1\x2c", 8);  // MX, IN, 300 s
  for (const std::string& answer :
       {std::string("\xc0\x0c") + mx + std::string("\0\4\0\x0a\xc0\xff", 6),   // a name that points forward
        std::string("\xc0\x0c") + mx + std::string("\0\4\0\x0a\xc0\x2d", 6),   // or at itself
        std::string("\xff\xff") + mx + std::string("\0\4\0\x0a\1a\0", 7),      // an owner beyond all
        std::string("\xc0\x0c") + mx + std::string("\xff\xff\0\x0a\1a\0", 7),  // longer than the answer
        std::string("\xc0\x0c") + mx.substr(0, 5), std::string(400, '\xff'), std::string()}) {
    Nonsense server(answer);
    settings_.dns.server = server.address();
    router_ = std::make_unique<Router>(loop_, settings_);
    const auto route = find("nonsense.test");
    ASSERT_TRUE(route->failure) << testing::PrintToString(answer);
    EXPECT_EQ(route->failure->kind, Kind::unreachable) << testing::PrintToString(answer);
    EXPECT_GT(server.asked, 0);
  }
}

TEST(DnsSettings, WhatTheConfigurationMeans) {
  EXPECT_EQ(dns_settings("", "none").trust_anchor, "");
  EXPECT_EQ(dns_settings("127.0.0.1:53", "").trust_anchor, "");
  EXPECT_EQ(dns_settings("127.0.0.1:53", "/some/file").trust_anchor, "/some/file");
  EXPECT_EQ(dns_settings("", "").trust_anchor, "/usr/share/dns/root.key");
  EXPECT_FALSE(dns_settings("", "").anchor_asked_for);
}

TEST(DnsSettings, AFileThatIsMissingIsSaid) {
  asio::io_context loop;
  EXPECT_THROW(Resolver(loop, dns_settings("127.0.0.1:53", "/nowhere")), std::runtime_error);
}

std::vector<std::string> names(const std::vector<MxRecord>& hosts) {
  std::vector<std::string> list;
  for (const MxRecord& host : hosts) list.push_back(host.host);
  return list;
}

TEST(OrderHosts, TheBestPreferenceComesFirst) {
  std::vector<MxRecord> records{{20, "b"}, {10, "a"}, {30, "c"}, {10, "a"}};
  EXPECT_THAT(names(order_hosts(records, "us", 1)), ElementsAre("a", "b", "c"));
}

TEST(OrderHosts, HostsBehindUsAreNoWay) {
  std::vector<MxRecord> records{{20, "us"}, {10, "a"}, {20, "b"}, {30, "c"}};
  EXPECT_THAT(names(order_hosts(records, "us", 1)), ElementsAre("a"));
  EXPECT_THAT(names(order_hosts({{10, "us"}, {10, "b"}}, "us", 1)), SizeIs(0));
}

TEST(OrderHosts, EqualOnesAreMixed) {
  std::set<std::string> first;
  for (uint64_t random = 0; random < 50; ++random)
    first.insert(order_hosts({{1, "a"}, {1, "b"}, {1, "c"}}, "us", random)[0].host);
  EXPECT_THAT(first, SizeIs(3));
}

TEST(ParseMx, ReadsWireFormat) {
  std::string rdata("\0\x0a\2MX\7Example\3org\0", 18);
  auto record = parse_mx(rdata);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->preference, 10);
  EXPECT_EQ(record->host, "mx.example.org");
  EXPECT_EQ(parse_mx(std::string("\0\0\0", 3))->host, "");
  for (size_t cut = 0; cut < rdata.size(); ++cut) EXPECT_FALSE(parse_mx(rdata.substr(0, cut))) << cut;
  EXPECT_FALSE(parse_mx(std::string("\0\1\3a b\0", 7)));
  std::string too_long("\0\1", 2);
  for (int i = 0; i < 5; ++i) too_long += '\x3f' + std::string(63, 'a');
  EXPECT_FALSE(parse_mx(too_long + '\0')) << "no name that can be asked for";
}

}  // namespace
}  // namespace postrider
