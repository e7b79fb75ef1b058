// mailctl ban: who guessed passwords and is not listened to for a while.
#include <fmt/format.h>

#include "common/config/values.h"
#include "common/net/address_limits.h"
#include "mailctl/commands.h"
#include "store/login_guard.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string key, duration = "1d";
};

void add_list(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("list", "Lists the bans.");
  describe(*command,
           "Lists who is banned and until when: addresses (of IPv6 a /64 network) that failed to log in too often, "
           "whose logins are not "
           "even tried, and accounts that are guessed at from everywhere, which let in only addresses that have logged "
           "in to them "
           "before.",
           "  mailctl ban list\n  mailctl --json ban list\n");
  command->callback([&context] {
    store::LoginGuard guard(context.state_folder(), context.clock());
    Json rows = Json::array();
    for (const store::Ban& ban : guard.bans()) {
      rows.push_back({{"kind", ban.kind == store::GuardedKind::address ? "address" : "account"},
                      {"who", ban.key},
                      {"until", ban.until},
                      {"bans", ban.bans}});
    }
    context.print(rows, {{"kind", "KIND"}, {"who", "WHO"}, {"until", "UNTIL", Show::time}, {"bans", "BANS"}},
                  "Nobody is banned.");
  });
}

void add_add(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("add", "Bans an address.");
  describe(*command, "Takes no logins from an address for a while. Of an IPv6 address its whole /64 network is meant.",
           "  mailctl ban add 192.0.2.7\n  mailctl ban add --for 30d 2001:db8::7\n");
  command->add_option("ADDRESS", options->key, "The address.")->required();
  command->add_option("--for", options->duration, "For how long: 1d unless given.")->type_name("DURATION");
  command->callback([&context, options] {
    const auto duration = config::parse_duration(options->duration);
    if (!duration)
      throw CommandFailed(fmt::format("\"{}\" is no duration, such as 3d or 12h.", options->duration), kUsage);
    const auto valid = config::NetworkSet::parse({options->key});
    if (!valid || options->key.find('/') != std::string::npos)
      throw CommandFailed(fmt::format("{} is no address.", options->key), kUsage);
    store::LoginGuard guard(context.state_folder(), context.clock());
    const UnixTime until = context.clock().unix_time() + std::chrono::duration_cast<Seconds>(*duration).count();
    guard.ban(net::network_of(options->key), until);
    context.result(
        {{"who", net::network_of(options->key)}, {"until", until}},
        fmt::format("No logins are taken from {} until {}.", net::network_of(options->key), format_time(until)));
  });
}

void add_lift(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("lift", "Ends a ban.");
  describe(*command, "Ends a ban now, and forgets the failures that led to it. Both daemons know within a second.",
           "  mailctl ban lift 192.0.2.7\n  mailctl ban lift alice@example.org\n");
  command->add_option("WHO", options->key, "The address or account, as `mailctl ban list` shows it.")->required();
  command->callback([&context, options] {
    store::LoginGuard guard(context.state_folder(), context.clock());
    const std::string network = net::network_of(options->key);
    if (!guard.lift(options->key) && !guard.lift(network))
      throw CommandFailed(fmt::format("{} is not banned.", options->key));
    context.result({{"who", options->key}}, fmt::format("{} may log in again.", options->key));
  });
}

}  // namespace

void add_ban_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("ban", "Who guessed passwords and is not listened to.");
  describe(*noun,
           "Who guessed passwords. Both daemons count failed logins together; login.max_failures and the keys beside "
           "it say how many are "
           "too many.",
           "  mailctl ban list\n  mailctl ban lift 192.0.2.7\n");
  noun->require_subcommand(1);
  add_list(*noun, context);
  add_add(*noun, context);
  add_lift(*noun, context);
}

}  // namespace postrider::mailctl
