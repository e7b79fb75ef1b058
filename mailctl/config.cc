// mailctl config: what is in effect, what is wrong, and what there is.
#include <fmt/format.h>

#include "common/config/keys.h"
#include "common/config/load.h"
#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

void add_show(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("show", "Prints the configuration in effect.");
  describe(*command,
           "Prints every key with the value in effect: from the environment, the file, or the default. What it prints "
           "can be "
           "used as a configuration file.",
           "  mailctl config show\n  mailctl --json config show | jq '.\"smtp.port\"'\n");
  command->callback([&context] {
    if (!context.json) return context.write(config::show(context.config()));
    Json all = Json::object();
    for (const config::Key& key : config::keys()) {
      // Numbers, texts and lists of them are written alike in TOML and JSON.
      all[std::string(key.name)] = key.kind == config::Kind::table
                                       ? Json(context.config().routes)
                                       : Json::parse(config::format_value(key, context.config()));
    }
    context.write(all.dump(2) + '\n');
  });
}

void add_check(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("check", "Says what is wrong with the configuration.");
  describe(
      *command,
      "Reads the configuration as the daemons would and says what is wrong, with file, line and column. Do this before "
      "SIGHUP; `mailctl doctor` looks at the system around it too.",
      "  mailctl config check\n  mailctl --config new.toml config check\n");
  command->callback([&context] {
    config::LoadOptions options;
    options.file = context.config_file;
    options.state = context.state;
    const std::string file = config::file_of(options);
    context.config();
    context.result({{"file", file.empty() ? Json() : Json(file)}, {"valid", true}},
                   file.empty() ? "There is no configuration file; the defaults are in effect."
                                : fmt::format("{} is in order.", file));
  });
}

void add_document(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("document", "Prints the description of every key.");
  describe(*command, "Prints the description of every key, with its default, as Markdown.",
           "  mailctl config document > docs/configuration.md\n  mailctl config document | less\n");
  command->callback([&context] { context.write(config::document()); });
}

}  // namespace

void add_config_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("config", "The configuration.");
  describe(*noun, "The configuration: what is in effect, what is wrong with it, and what there is.",
           "  mailctl config check\n  mailctl config show\n");
  noun->require_subcommand(1);
  add_show(*noun, context);
  add_check(*noun, context);
  add_document(*noun, context);
}

}  // namespace postrider::mailctl
