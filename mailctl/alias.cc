// mailctl alias: addresses that stand for others.
#include <fmt/format.h>

#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string address;
  std::vector<std::string> targets;
};

void add_set(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("set", "Makes an alias, or changes where it leads.");
  describe(*command,
           "Makes an alias, or changes where it leads: mail to ADDRESS goes to every TARGET, here or elsewhere. A "
           "target may be "
           "an alias itself. Who is reached by an alias may send in its name.",
           "  mailctl alias set postmaster@example.org alice@example.org\n"
           "  mailctl alias set sales@example.org alice@example.org bob@example.net\n");
  command->add_option("ADDRESS", options->address, "The alias.")->required();
  command->add_option("TARGET", options->targets, "Who gets its mail.")->required();
  command->callback([&context, options] {
    require(context.directory().set_alias(options->address, options->targets));
    context.result({{"address", options->address}, {"targets", options->targets}},
                   fmt::format("Mail to {} goes to {}.", options->address, fmt::join(options->targets, ", ")));
  });
}

void add_remove(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("remove", "Removes an alias.");
  describe(*command, "Removes an alias. Mail to it is refused from now on, unless an account or a catch-all takes it.",
           "  mailctl alias remove sales@example.org\n");
  command->add_option("ADDRESS", options->address, "The alias.")->required();
  command->callback([&context, options] {
    require(context.directory().remove_alias(options->address));
    context.result({{"address", options->address}}, fmt::format("The alias {} is removed.", options->address));
  });
}

void add_list(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("list", "Lists the aliases.");
  describe(*command, "Lists the aliases and where they lead.", "  mailctl alias list\n");
  command->callback([&context] {
    Json rows = Json::array();
    for (const store::AliasInfo& alias : context.directory().aliases()) {
      rows.push_back({{"address", alias.address}, {"targets", alias.targets}});
    }
    context.print(rows, {{"address", "ALIAS"}, {"targets", "LEADS TO", Show::list}}, "There are no aliases.");
  });
}

}  // namespace

void add_alias_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("alias", "Addresses that stand for others.");
  describe(*noun, "Addresses that stand for others.",
           "  mailctl alias set postmaster@example.org alice@example.org\n  mailctl alias list\n");
  noun->require_subcommand(1);
  add_set(*noun, context);
  add_remove(*noun, context);
  add_list(*noun, context);
}

}  // namespace postrider::mailctl
