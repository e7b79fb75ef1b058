// mailctl account: who has mail here.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/config/values.h"
#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string address, quota;
  bool password_stdin = false, generate = false, delete_mail = false, system = false;
};

uint64_t parse_quota(const std::string& text) {
  const auto octets = config::parse_size(text);
  if (!octets)
    throw CommandFailed(fmt::format("{} is no size: write it as 500MiB or 2GiB; 0 is no limit.", text), kUsage);
  return *octets;
}

/// The user of the same name on this system is who knows the password.
GivenPassword system_password(const std::string& address) {
  return {sasl::outside_password_record(address.substr(0, address.rfind('@'))), std::string()};
}

void add_account(Context& context, const Options& options) {
  if (!options.system && !options.generate && !options.password_stdin && !context.at_terminal()) {
    throw CommandFailed("Say where the password comes from: --password-stdin or --generate, or --system.", kUsage);
  }
  const uint64_t quota = options.quota.empty() ? context.config().store.quota : parse_quota(options.quota);
  // The directory first: what is wrong with it is said before anybody types a password.
  store::Directory& directory = context.directory();
  const GivenPassword given =
      options.system ? system_password(options.address) : take_password(context, options.address, options.generate);
  const store::AccountInfo account = require(directory.add_account(options.address, given.record));
  if (quota > 0) require(directory.set_quota(account.address, quota));
  Json done = {{"address", account.address}, {"id", account.id}, {"quota", quota}};
  if (options.generate) done["password"] = given.generated;
  context.result(done, fmt::format("The account {} is there.", account.address));
  if (options.generate) context.say(fmt::format("Its password is {}", given.generated));
}

void add_add(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("add", "Makes an account.");
  describe(
      *command,
      "Makes an account, with the mailboxes INBOX, Drafts, Sent, Trash, Junk and Archive. Its domain must be there "
      "(`mailctl domain add`). The password is asked for at a terminal, read from standard input, or made up.",
      "  mailctl account add alice@example.org\n"
      "  mailctl account add --generate --quota 2GiB bob@example.org\n"
      "  printf '%s\\n' \"$PASSWORD\" | mailctl account add --password-stdin carol@example.org\n");
  command->add_option("ADDRESS", options->address, "The whole address, which is the login name too.")->required();
  auto* given = command->add_flag("--password-stdin", options->password_stdin,
                                  "The first line of standard input is the password.");
  auto* generated =
      command->add_flag("--generate", options->generate, "Make a password up and print it.")->excludes(given);
  command
      ->add_flag("--system", options->system,
                 "The password is that of the user of the same name on this system (login.pam_service).")
      ->excludes(given)
      ->excludes(generated);
  command
      ->add_option("--quota", options->quota,
                   "The most it may hold, as 500MiB or 2GiB; 0: no limit. Default: store.quota.")
      ->type_name("SIZE");
  command->callback([&context, options] { add_account(context, *options); });
}

void remove_files(const std::string& path) {
  for (const char* suffix : {"-wal", "-shm", ""}) {
    const std::string file = path + suffix;
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
      throw CommandFailed(fmt::format("The account is removed, but the file {} is not: {}. Remove it yourself.", file,
                                      std::strerror(errno)));
    }
  }
}

void add_remove(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("remove", "Removes an account.");
  describe(
      *command,
      "Removes an account: it can no longer log in, and its mail is refused. Its file of mail stays where it is, and "
      "the "
      "command says where, unless --delete-mail is given. An account made later under the same address starts empty.",
      "  mailctl account remove bob@example.org\n  mailctl account remove --delete-mail bob@example.org\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->add_flag("--delete-mail", options->delete_mail, "Delete its mail too, for ever.");
  command->callback([&context, options] {
    const std::string address = context.account(options->address).address;
    const store::AccountInfo removed = require(context.directory().remove_account(address));
    const std::string path = context.accounts().path_of(removed.id);
    const bool had_mail = ::access(path.c_str(), F_OK) == 0;
    if (options->delete_mail) remove_files(path);
    const bool kept = had_mail && !options->delete_mail;
    context.result({{"address", address}, {"mail", kept ? Json(path) : Json()}},
                   kept ? fmt::format("The account {} is removed. Its mail is still in {}.", address, path)
                        : fmt::format("The account {} is removed.", address));
  });
}

void add_list(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("list", "Lists the accounts.");
  describe(*command, "Lists the accounts.", "  mailctl account list\n  mailctl --json account list\n");
  command->callback([&context] {
    Json rows = Json::array();
    for (const store::AccountInfo& account : context.directory().accounts()) {
      rows.push_back({{"address", account.address},
                      {"enabled", account.enabled},
                      {"quota", account.quota},
                      {"created", account.created}});
    }
    context.print(rows,
                  {{"address", "ADDRESS"},
                   {"enabled", "ENABLED", Show::yes_no},
                   {"quota", "QUOTA", Show::size},
                   {"created", "SINCE", Show::time}},
                  "There are no accounts yet. `mailctl account add ADDRESS` makes one.");
  });
}

void add_switch(CLI::App& noun, Context& context, bool enabled) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      noun.add_subcommand(enabled ? "enable" : "disable",
                          enabled ? "Lets an account be used again." : "Locks an account without removing it.");
  describe(*command,
           enabled ? "Lets a disabled account be used again."
                   : "Locks an account: it can no longer log in, and its mail is refused. What it holds stays.",
           fmt::format("  mailctl account {} bob@example.org\n", enabled ? "enable" : "disable"));
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->callback([&context, options, enabled] {
    const std::string address = context.account(options->address).address;
    require(context.directory().set_enabled(address, enabled));
    context.result({{"address", address}, {"enabled", enabled}},
                   fmt::format("The account {} is {}.", address, enabled ? "enabled" : "disabled"));
  });
}

void show_account(Context& context, const Options& options) {
  const store::AccountInfo account = context.account(options.address);
  const std::string path = context.accounts().path_of(account.id);
  Json shown = {{"address", account.address},
                {"id", account.id},
                {"enabled", account.enabled},
                {"created", account.created},
                {"quota", account.quota},
                {"used", 0},
                {"messages", 0},
                {"unseen", 0},
                {"file", path},
                {"mailboxes", Json::array()},
                {"aliases", Json::array()}};
  // An account that was never used has no file yet, and looking at it makes none.
  if (::access(path.c_str(), F_OK) == 0) {
    auto lease = context.accounts().open(account.id);
    shown["used"] = lease->used_bytes();
    uint64_t messages = 0, unseen = 0;
    for (const store::Mailbox& mailbox : lease->mailboxes()) {
      messages += mailbox.messages;
      unseen += mailbox.unseen;
      shown["mailboxes"].push_back(
          {{"name", mailbox.name}, {"messages", mailbox.messages}, {"unseen", mailbox.unseen}, {"size", mailbox.size}});
    }
    shown["messages"] = messages;
    shown["unseen"] = unseen;
  }
  for (const store::AliasInfo& alias : context.directory().aliases()) {
    if (std::find(alias.targets.begin(), alias.targets.end(), account.address) != alias.targets.end()) {
      shown["aliases"].push_back(alias.address);
    }
  }
  context.print_one(shown, {{"address", "Address"},
                            {"enabled", "Enabled", Show::yes_no},
                            {"created", "Since", Show::time},
                            {"aliases", "Aliases", Show::list},
                            {"quota", "Quota", Show::size},
                            {"used", "Used", Show::size},
                            {"messages", "Messages"},
                            {"unseen", "Unseen"},
                            {"file", "File"}});
  if (context.json || shown["mailboxes"].empty()) return;
  context.say("");
  context.print(shown["mailboxes"],
                {{"name", "MAILBOX"}, {"messages", "MESSAGES"}, {"unseen", "UNSEEN"}, {"size", "SIZE", Show::size}},
                "");
}

void add_show(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("show", "Shows what an account holds.");
  describe(*command, "Shows an account: its state, quota, aliases, mailboxes, and where its mail lies.",
           "  mailctl account show alice@example.org\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->callback([&context, options] { show_account(context, *options); });
}

}  // namespace

void add_account_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("account", "Who has mail here.");
  describe(*noun, "Who has mail here and logs in.",
           "  mailctl account add --generate alice@example.org\n  mailctl account show alice@example.org\n");
  noun->require_subcommand(1);
  add_add(*noun, context);
  add_remove(*noun, context);
  add_list(*noun, context);
  add_show(*noun, context);
  add_switch(*noun, context, true);
  add_switch(*noun, context, false);
  add_app_password_commands(*noun, context);
}

void add_quota_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("quota", "The most that an account may hold.");
  describe(*noun, "The most that an account may hold. Mail above it is refused, and APPEND and COPY fail.",
           "  mailctl quota set alice@example.org 2GiB\n  mailctl quota show alice@example.org\n");
  noun->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* set = noun->add_subcommand("set", "Sets the quota of an account.");
  describe(*set, "Sets the quota of an account.",
           "  mailctl quota set alice@example.org 2GiB\n  mailctl quota set alice@example.org 0\n");
  set->add_option("ADDRESS", options->address, "The account's address.")->required();
  set->add_option("SIZE", options->quota, "As 500MiB or 2GiB; 0: no limit.")->required();
  set->callback([&context, options] {
    const uint64_t octets = parse_quota(options->quota);
    const std::string address = context.account(options->address).address;
    require(context.directory().set_quota(address, octets));
    context.result({{"address", address}, {"quota", octets}},
                   octets == 0 ? fmt::format("The account {} has no quota.", address)
                               : fmt::format("The quota of {} is {}.", address, config::format_size(octets)));
  });
  CLI::App* show = noun->add_subcommand("show", "Shows quota and use of an account.");
  describe(*show, "Shows the quota of an account and how much it holds, in octets with --json.",
           "  mailctl quota show alice@example.org\n");
  show->add_option("ADDRESS", options->address, "The account's address.")->required();
  show->callback([&context, options] {
    const store::AccountInfo account = context.account(options->address);
    uint64_t used = 0;
    if (::access(context.accounts().path_of(account.id).c_str(), F_OK) == 0) {
      used = context.accounts().open(account.id)->used_bytes();
    }
    context.print_one({{"address", account.address}, {"quota", account.quota}, {"used", used}},
                      {{"address", "Address"}, {"quota", "Quota", Show::size}, {"used", "Used", Show::size}});
  });
}

}  // namespace postrider::mailctl
