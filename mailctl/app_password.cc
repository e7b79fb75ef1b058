// mailctl account app-password: passwords for single programs.
#include "common/sasl/app_password.h"

#include <fmt/format.h>

#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string address, name, scope = "all";
};

std::string_view word(uint8_t scopes) {
  return scopes == sasl::kScopeSmtp ? "smtp" : scopes == sasl::kScopeImap ? "imap" : "all";
}

void add_add(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("add", "Makes an app password.");
  describe(*command,
           "Makes a password for one program of a user and prints it, once. It works beside the account's own, for "
           "PLAIN and LOGIN, and only for what --scope says.",
           "  mailctl account app-password add alice@example.org phone\n"
           "  mailctl account app-password add --scope smtp alice@example.org scanner\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->add_option("NAME", options->name, "What it is for; to tell it from others.")->required();
  command->add_option("--scope", options->scope, "smtp: to send; imap: to read; all: both, unless said.")
      ->check(CLI::IsMember({"smtp", "imap", "all"}));
  command->callback([&context, options] {
    const store::AccountInfo account = context.account(options->address);
    const std::string password = sasl::make_app_password();
    const uint8_t scopes = options->scope == "smtp"   ? sasl::kScopeSmtp
                           : options->scope == "imap" ? sasl::kScopeImap
                                                      : sasl::kScopeAll;
    require(
        context.directory().add_app_password(account.id, options->name, scopes, *sasl::app_password_hash(password)));
    context.result(
        {{"address", account.address}, {"name", options->name}, {"scope", word(scopes)}, {"password", password}},
        fmt::format("The password of {} for \"{}\" is {}", account.address, options->name, password));
  });
}

void add_list(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("list", "Lists the app passwords of an account.");
  describe(*command, "Lists the app passwords of an account, what they are good for, and when they were used last.",
           "  mailctl account app-password list alice@example.org\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->callback([&context, options] {
    Json rows = Json::array();
    for (const store::AppPasswordInfo& one : context.directory().app_passwords(context.account(options->address).id)) {
      rows.push_back({{"name", one.name},
                      {"scope", word(one.scopes)},
                      {"created", one.created},
                      {"last_used", one.last_used == 0 ? Json() : Json(one.last_used)}});
    }
    context.print(rows,
                  {{"name", "NAME"},
                   {"scope", "SCOPE"},
                   {"created", "SINCE", Show::time},
                   {"last_used", "LAST USED", Show::time}},
                  "The account has no app passwords.");
  });
}

void add_remove(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("remove", "Removes an app password.");
  describe(*command, "Removes an app password: nobody logs in with it any more. Sessions that are open stay open.",
           "  mailctl account app-password remove alice@example.org phone\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->add_option("NAME", options->name, "Its name.")->required();
  command->callback([&context, options] {
    const store::AccountInfo account = context.account(options->address);
    require(context.directory().remove_app_password(account.id, options->name));
    context.result({{"address", account.address}, {"name", options->name}},
                   fmt::format("The app password \"{}\" of {} is removed.", options->name, account.address));
  });
}

}  // namespace

void add_app_password_commands(CLI::App& account, Context& context) {
  CLI::App* noun = account.add_subcommand("app-password", "Passwords for single programs.");
  describe(*noun,
           "Passwords for single programs of a user: one for the phone, one for the scanner that only sends. Each is "
           "made here, and can be taken away without the others.",
           "  mailctl account app-password add alice@example.org phone\n"
           "  mailctl account app-password list alice@example.org\n");
  noun->require_subcommand(1);
  add_add(*noun, context);
  add_list(*noun, context);
  add_remove(*noun, context);
}

}  // namespace postrider::mailctl
