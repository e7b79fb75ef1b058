// The TOML file, the environment, and what is said when they are wrong.
#include "common/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "common/config/keys.h"

namespace postrider::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string toml_error(std::string_view text) {
  Config config;
  auto done = apply_toml(text, "test.toml", config);
  return done ? "no error" : done.error().message;
}

Config read(std::string_view text) {
  Config config;
  auto done = apply_toml(text, "test.toml", config);
  EXPECT_TRUE(done) << done.error().message;
  return config;
}

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

TEST(Toml, SetsValuesOfEveryKind) {
  Config config = read(R"(
[smtp]
port = 2525
max_message_size = "10MiB"
max_line = 4096
greeting_delay = "250ms"
command_timeout = "2m"
trusted_networks = ["192.0.2.0/24", "2001:db8::/32"]
[log]
level = "debug"
[queue]
retry = ["1s", "5s", "1m"]
[login]
default_domain = "example.org"
)");
  EXPECT_EQ(config.smtp.port, 2525);
  EXPECT_EQ(config.smtp.max_message_size, 10U << 20);
  EXPECT_EQ(config.smtp.max_line, 4096U);
  EXPECT_EQ(config.smtp.greeting_delay, std::chrono::milliseconds(250));
  EXPECT_EQ(config.smtp.command_timeout, Seconds(120));
  EXPECT_THAT(config.smtp.trusted_networks, testing::ElementsAre("192.0.2.0/24", "2001:db8::/32"));
  EXPECT_EQ(config.log.level, LogLevel::debug);
  EXPECT_THAT(config.queue.retry, testing::ElementsAre(Seconds(1), Seconds(5), Seconds(60)));
  EXPECT_EQ(config.login.default_domain, "example.org");
}

TEST(Toml, DottedKeysAndTablesAreTheSame) {
  EXPECT_EQ(read("smtp.port = 26").smtp.port, 26);
}

TEST(Toml, RoutesMayBeQuotedOrNot) {
  Config config = read("[routes]\n\"Example.NET\" = \"127.0.0.1:2525\"\nexample.org = \"127.0.0.1:2526\"\n");
  EXPECT_EQ(config.routes.at("example.net"), "127.0.0.1:2525");
  EXPECT_EQ(config.routes.at("example.org"), "127.0.0.1:2526");
}

TEST(Toml, AnErrorIsOneLineWhateverItQuotes) {
  EXPECT_THAT(toml_error("a=t\n"), AllOf(StartsWith("test.toml:1:4: This is not TOML: "), Not(HasSubstr("\n"))));
  EXPECT_THAT(toml_error("\"a\\nb\" = 1\n"), StartsWith("test.toml:1:1: There is no key a b. "));
}

TEST(Toml, AnUnknownKeyIsRefusedWithItsPlaceAndTheNearestOne) {
  EXPECT_EQ(toml_error("[smtp]\n  prot = 25\n"), "test.toml:2:3: There is no key smtp.prot. Did you mean smtp.port?");
  EXPECT_THAT(toml_error("[stmp]\nport = 25\n"), HasSubstr("Did you mean smtp.port?"));
  EXPECT_THAT(toml_error("hostname = \"a\"\n"), HasSubstr("Did you mean server.hostname?"));
}

TEST(Toml, AnUnknownKeyLikeNoOtherIsRefusedToo) {
  EXPECT_THAT(toml_error("quetzalcoatl.xyzzy = 1"), HasSubstr("There is no key quetzalcoatl.xyzzy."));
  EXPECT_THAT(toml_error("[zzzzzzzzzzzz]"), StartsWith("test.toml:1:2: There is no key"));
}

TEST(Toml, AnEmptySectionIsAllowed) {
  EXPECT_EQ(toml_error("[smtp]\n"), "no error");
}

TEST(Toml, BadSyntaxIsRefusedWithItsPlace) {
  EXPECT_THAT(toml_error("[smtp]\nport = = 3\n"), StartsWith("test.toml:2:8: "));
}

TEST(Toml, AValueOfTheWrongKindIsRefusedWithThePlace) {
  EXPECT_EQ(toml_error("smtp.port = \"many\""), "test.toml:1:13: smtp.port must be a port number.");
  EXPECT_THAT(toml_error("smtp.port = 65536"), HasSubstr("smtp.port must be from 0 to 65535."));
  EXPECT_THAT(toml_error("smtp.port = -1"), HasSubstr("smtp.port must be a port number."));
  EXPECT_THAT(toml_error("smtp.port = 2.5"), HasSubstr("smtp.port"));
  EXPECT_THAT(toml_error("server.hostname = 5"), HasSubstr("server.hostname must be text in quotes."));
  EXPECT_THAT(toml_error("queue.lifetime = 5"), HasSubstr("queue.lifetime must be a duration"));
  EXPECT_THAT(toml_error("queue.retry = \"5m\""), HasSubstr("queue.retry must be a list of durations"));
  EXPECT_THAT(toml_error("queue.retry = [5]"), HasSubstr("queue.retry must be a list"));
  EXPECT_THAT(toml_error("smtp = 5"), HasSubstr("There is no key smtp."));
  EXPECT_THAT(toml_error("routes = 5"), HasSubstr("routes must be a table"));
  EXPECT_THAT(toml_error("log.level = \"loud\""), HasSubstr("log.level must be one of"));
  EXPECT_THAT(toml_error("smtp.port = {a = 5}"), HasSubstr("smtp.port"));
}

TEST(Toml, AValueOutOfRangeNamesTheRange) {
  EXPECT_THAT(toml_error("smtp.max_line = 10"), HasSubstr("smtp.max_line must be from 1000 to 1MiB."));
  EXPECT_THAT(toml_error("queue.retry = [\"0s\"]"), HasSubstr("queue.retry must be from 1s to 366d."));
}

TEST(EnvironmentOverrides, SetEveryKind) {
  Config config;
  auto done = apply_environment(environment({{"POSTRIDER_SMTP_PORT", "2525"},
                                             {"POSTRIDER_QUEUE_RETRY", "1s, 5s"},
                                             {"POSTRIDER_ROUTES", "a.test=h:25,b.test=[::1]:26"},
                                             {"POSTRIDER_SMTP_MAX_MESSAGE_SIZE", "1MiB"}}),
                                config);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(config.smtp.port, 2525);
  EXPECT_THAT(config.queue.retry, testing::ElementsAre(Seconds(1), Seconds(5)));
  EXPECT_EQ(config.routes.at("b.test"), "[::1]:26");
  EXPECT_EQ(config.smtp.max_message_size, 1U << 20);
}

TEST(EnvironmentOverrides, NameTheVariableThatIsWrong) {
  Config config;
  auto done = apply_environment(environment({{"POSTRIDER_IMAP_PORT", "x"}}), config);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "POSTRIDER_IMAP_PORT in the environment: imap.port must be a port number.");
}

TEST(Complete, PutsTheCertificateIntoTheStateFolder) {
  Config config;
  config.server.state = "/srv/mail/";
  complete(config);
  EXPECT_EQ(config.tls.certificate, "/srv/mail/tls/certificate.pem");
  EXPECT_EQ(config.server.pid_directory, "/srv/mail");
  EXPECT_FALSE(config.server.hostname.empty());
}

struct Wrong {
  const char* toml;
  const char* message;
};

class Validate : public testing::TestWithParam<Wrong> {};

TEST_P(Validate, NamesTheKey) {
  Config config = read(GetParam().toml);
  complete(config);
  auto done = validate(config);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, Validate,
    testing::Values(Wrong{"server.hostname = \"a b\"", "server.hostname must be a host name"},
                    Wrong{"server.hostname = \"mail..example\"", "server.hostname must be a host name"},
                    Wrong{"server.group = \"mail\"", "server.group needs server.user"},
                    Wrong{"imap.address = \"localhost\"", "imap.address must be an address"},
                    Wrong{"smtp.trusted_networks = [\"x\"]", "smtp.trusted_networks: \"x\" is no network"},
                    Wrong{"login.default_domain = \"@\"", "login.default_domain must be a domain"},
                    Wrong{"address.separators = \"a\"", "address.separators must be punctuation"},
                    Wrong{"queue.retry = []", "queue.retry must have at least one"},
                    Wrong{"dns.server = \"resolver:53\"", "dns.server must be an address"},
                    Wrong{"metrics.address = \"localhost\"", "metrics.address must be an address"},
                    Wrong{"metrics.networks = [\"x\"]", "metrics.networks: \"x\" is no network"},
                    Wrong{"[metrics]\naddress = \"::\"\nmta_port = 1", "name those who may in metrics.networks"},
                    Wrong{"[metrics]\naddress = \"192.0.2.1\"\nimapd_port = 1", "name those who may"},
                    Wrong{"relay.smart_host = \"h\"", "relay.smart_host: \"h\" needs a port"},
                    Wrong{"relay.smart_host_tls = \"yes\"", "relay.smart_host_tls must be \"opportunistic\""},
                    Wrong{"relay.smart_host_user = \"a\"", "go together"},
                    Wrong{"[relay]\nsmart_host_user = \"a\"\nsmart_host_password_file = \"b\"",
                          "relay.smart_host_user needs relay.smart_host"},
                    Wrong{"[limits]\n\"a.test\" = \"speed=1\"", "limits, a.test: \"speed=1\" is no limit"},
                    Wrong{"[routes]\n\"a.test\" = \"h\"", "routes, a.test: \"h\" needs a port"}));

TEST(Load, AMissingFileThatWasNamedIsAnError) {
  LoadOptions options;
  options.file = "/nonexistent/config.toml";
  auto config = load(options);
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message, HasSubstr("/nonexistent/config.toml cannot be opened"));
}

TEST(Load, TheStateFolderThatWasNamedWins) {
  LoadOptions options;
  options.state = testing::TempDir();
  options.environment = environment({{"POSTRIDER_SERVER_STATE", "/elsewhere"}});
  auto config = load(options);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server.state + '/', testing::TempDir());
}

TEST(Metrics, AreForThisMachineOrForThoseWhoAreNamed) {
  for (const char* text :
       {"[metrics]\naddress = \"127.0.0.2\"\nmta_port = 1", "[metrics]\naddress = \"::1\"\nmta_port = 1",
        "[metrics]\naddress = \"::\"\nmta_port = 1\nnetworks = [\"192.0.2.0/24\"]", "metrics.address = \"0.0.0.0\""}) {
    Config config = read(text);
    complete(config);
    EXPECT_TRUE(validate(config)) << text;
  }
}

TEST(Defaults, AreValid) {
  Config config;
  complete(config);
  auto done = validate(config);
  EXPECT_TRUE(done) << done.error().message;
}

TEST(Keys, AreNamedOnceAndHaveAVariableOfTheirOwn) {
  std::set<std::string> names, variables;
  for (const Key& key : keys()) {
    EXPECT_TRUE(names.insert(std::string(key.name)).second) << key.name;
    EXPECT_TRUE(variables.insert(environment_name(key)).second) << key.name;
  }
}

TEST(Keys, LeadToAMemberOfTheirOwn) {
  std::set<const void*> members;
  Config config;
  for (const Key& key : keys()) {
    const void* member = std::visit([&](auto access) -> const void* { return &access(config); }, key.access);
    EXPECT_TRUE(members.insert(member).second) << key.name;
  }
}

TEST(Show, IsReadBackAsTheSameConfiguration) {
  Config config = read("smtp.port = 2525\nqueue.retry = [\"1s\", \"2m\"]\nroutes.\"a.test\" = \"h:25\"\n");
  config.server.hostname = "with \"quotes\" and \\ in it";
  const std::string shown = show(config);
  Config again;
  auto done = apply_toml(shown, "shown", again);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(show(again), shown);
  EXPECT_EQ(again.server.hostname, config.server.hostname);
  EXPECT_EQ(again.routes, config.routes);
}

TEST(Document, IsTheOneInTheDocsFolder) {
  std::ifstream file(POSTRIDER_SOURCE "/docs/configuration.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), document()) << "Run: mailctl config document > docs/configuration.md";
}

}  // namespace
}  // namespace postrider::config
