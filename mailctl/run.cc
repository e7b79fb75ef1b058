#include "mailctl/run.h"

#include <fmt/format.h>

#include <algorithm>

#include "mailctl/commands.h"
#include "mailctl/help.h"
#include "store/sqlite.h"
#include "store/wal_vfs.h"

namespace postrider::mailctl {
namespace {

constexpr const char* kDescription =
    "Manages a Postrider mail server: who has mail here, what waits to be delivered, and whether everything is in "
    "order.\n\n"
    "Changes count at once; the daemons need not be told. When it is started by root and server.user is set, mailctl "
    "works "
    "as that user, so that the daemons can use what it makes.";

constexpr const char* kShared =
    "FILES\n"
    "  /etc/postrider/config.toml   the configuration, unless --config names another\n"
    "  STATE/config.toml            the configuration with --state STATE, if it is there\n"
    "  STATE/directory.db           domains, accounts, aliases\n"
    "  STATE/accounts/xx/ID.db      one file of mail an account\n"
    "  STATE/queue.db               mail that waits to be delivered\n"
    "  STATE/dkim/DOMAIN/           the keys that sign a domain's mail, and their records for DNS\n\n"
    "EXIT STATUS\n"
    "  0  done\n"
    "  1  refused or failed; standard error says why, and nothing was changed\n"
    "  2  the command line is wrong\n\n"
    "SEE ALSO\n"
    "  mailctl config document describes every key of the configuration.";

constexpr const char* kExamples =
    "  mailctl domain add example.org\n"
    "  mailctl account add --generate alice@example.org\n"
    "  mailctl alias set sales@example.org alice@example.org bob@example.org\n"
    "  mailctl --json account list\n"
    "  mailctl doctor\n";

std::string explain_storage(const store::SqliteError& error) {
  if (error.is_full()) return fmt::format("The disk is full: {}. Make room and try again.", error.what());
  if (error.is_busy()) return fmt::format("Somebody else keeps the database locked: {}. Try again.", error.what());
  if (store::is_wal_lost(error)) {
    return fmt::format(
        "Somebody deleted the log of a file that is in use (its name ends in -wal): {}. What was in it the daemons "
        "still "
        "have, and put into the file within a minute. Try again then. If that is no better, restart both daemons: "
        "they do the same when they end. Do not kill them.",
        error.what());
  }
  if (error.is_corrupt()) {
    return fmt::format(
        "The database is damaged: {}. `mailctl recover ADDRESS` brings back what can be read of an "
        "account; queue.db and directory.db come back from a backup (`mailctl restore --help`).",
        error.what());
  }
  return fmt::format("The database cannot be used: {}. `mailctl doctor` checks files and permissions.", error.what());
}

void build(CLI::App& app, Context& context) {
  app.name("mailctl");
  app.formatter(std::make_shared<HelpFormatter>());
  describe(app, kDescription, kExamples);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--config", context.config_file, "The configuration file.")->type_name("FILE");
  app.add_option("--state", context.state, "The state folder, whatever the configuration says.")->type_name("DIR");
  app.add_flag("--json", context.json, "Print JSON, for programs.");
  add_domain_commands(app, context);
  add_account_commands(app, context);
  add_alias_commands(app, context);
  add_rights_commands(app, context);
  add_password_command(app, context);
  add_quota_commands(app, context);
  add_queue_commands(app, context);
  add_backup_command(app, context);
  add_restore_command(app, context);
  add_recover_command(app, context);
  add_downgrade_command(app, context);
  add_transfer_commands(app, context);
  add_trace_command(app, context);
  add_audit_command(app, context);
  add_config_commands(app, context);
  add_report_commands(app, context);
  add_ban_commands(app, context);
  add_limit_commands(app, context);
  add_dkim_commands(app, context);
  add_dns_command(app, context);
  add_doctor_command(app, context);
  CLI::App* version = app.add_subcommand("version", "Prints the version.");
  describe(*version, "Prints the version of this program.", "  mailctl version\n");
  version->callback([&context] { context.result({{"version", POSTRIDER_VERSION}}, "Postrider " POSTRIDER_VERSION); });
}

Outcome failed(int status, const std::string& message, std::string out = {}) {
  return {status, std::move(out), fmt::format("mailctl: {}\n", message)};
}

}  // namespace

void describe(CLI::App& command, const std::string& description, const std::string& examples) {
  command.description(description);
  command.footer("EXAMPLES\n" + examples + "\n" + kShared);
}

Outcome run(const std::vector<std::string>& arguments, Input input) {
  Context context(input);
  CLI::App app;
  build(app, context);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Success&) {
    // --help somewhere on the line: that of the command it stands behind.
    CLI::App* command = &app;
    while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
    return {kDone, command->help(), {}};
  } catch (const CLI::ParseError& error) {
    return failed(kUsage, fmt::format("{}\nTry `mailctl --help`.", error.what()));
  } catch (const CommandFailed& error) {
    return failed(error.status(), error.what(), context.take_output());
  } catch (const store::SqliteError& error) {
    return failed(kFailed, explain_storage(error), context.take_output());
  } catch (const std::exception& error) {
    return failed(kFailed, error.what(), context.take_output());
  }
  return {kDone, context.take_output(), {}};
}

}  // namespace postrider::mailctl
