// mailctl limit: how much accounts have sent of what they may.
#include <fmt/format.h>

#include "common/config/values.h"
#include "mailctl/commands.h"
#include "store/rate_limits.h"

namespace postrider::mailctl {
namespace {

void add_list(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("list", "Lists what accounts have used.");
  describe(
      *command,
      "Lists how many recipients on other servers accounts have sent to, of what rates.account lets them. What was "
      "used comes back evenly.",
      "  mailctl limit list\n  mailctl --json limit list\n");
  command->callback([&context] {
    store::RateLimits limits(context.state_folder(), context.clock());
    Json rows = Json::array();
    for (const store::RateUse& use : limits.uses()) {
      rows.push_back({{"account", use.account},
                      {"used", use.used},
                      {"limit", use.rule.count},
                      {"per", config::format_duration(use.rule.per)},
                      {"free", use.free}});
    }
    context.print(rows,
                  {{"account", "ACCOUNT"},
                   {"used", "USED"},
                   {"limit", "OF"},
                   {"per", "PER"},
                   {"free", "NONE LEFT OF IT AT", Show::time}},
                  "Nobody has sent anything lately.");
  });
}

void add_lift(CLI::App& noun, Context& context) {
  auto address = std::make_shared<std::string>();
  CLI::App* command = noun.add_subcommand("lift", "Lets an account send again.");
  describe(*command, "Forgets what an account has used, so that it may send again at once.",
           "  mailctl limit lift alice@example.org\n");
  command->add_option("ADDRESS", *address, "The account's address.")->required();
  command->callback([&context, address] {
    const std::string account = context.account(*address).address;
    store::RateLimits limits(context.state_folder(), context.clock());
    if (!limits.lift(account)) throw CommandFailed(fmt::format("{} has not sent anything lately.", account));
    context.result({{"account", account}}, fmt::format("{} may send again.", account));
  });
}

}  // namespace

void add_limit_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("limit", "How much accounts may send.");
  describe(*noun, "How much accounts have sent to other servers, of what rates.account lets them.",
           "  mailctl limit list\n  mailctl limit lift alice@example.org\n");
  noun->require_subcommand(1);
  add_list(*noun, context);
  add_lift(*noun, context);
}

}  // namespace postrider::mailctl
