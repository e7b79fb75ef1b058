// mailctl rights: who may use whose mailboxes (RFC 4314).
#include <fmt/format.h>

#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

constexpr std::string_view kAnyone = "anyone";

struct Options {
  std::string owner, mailbox, who, rights;
};

/// 0: anyone.
store::AccountId account_of(Context& context, const std::string& who) {
  return who == kAnyone ? store::kAnyone : context.account(who).id;
}

store::Mailbox mailbox_of(store::Account& account, const std::string& name) {
  auto mailbox = account.find_mailbox(name);
  if (!mailbox) throw CommandFailed(fmt::format("There is no mailbox {}.", name));
  return *mailbox;
}

void change(Context& context, const Options& options, store::Rights rights) {
  store::AccountInfo owner = context.account(options.owner);
  bool negative = options.who.starts_with('-');
  store::Grant grant{account_of(context, options.who.substr(negative ? 1 : 0)), negative, rights};
  if (grant.who == owner.id) throw CommandFailed("The owner of a mailbox has all rights to it, always.");
  auto account = context.accounts().open(owner.id);
  store::Mailbox mailbox = mailbox_of(*account, options.mailbox);
  if (rights != 0 && !negative) context.directory().note_sharing(owner.id, grant.who);
  store::Edit edit(*account);
  if (auto granted = edit.grant(mailbox.id, grant); !granted) throw CommandFailed(granted.error().message);
  edit.commit_flushed();
}

void add_names(CLI::App& command, Options& options) {
  command.add_option("OWNER", options.owner, "The address of the account.")->required();
  command.add_option("MAILBOX", options.mailbox, "One of its mailboxes, such as INBOX or Work/Plans.")->required();
  command.add_option("WHO", options.who, "Another account, or \"anyone\"; behind \"-\" to take rights away from it.")
      ->required();
}

void add_set(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("set", "Gives rights to a mailbox.");
  describe(*command,
           "Gives WHO rights to a mailbox of another account, instead of those that it had. The mailbox is then seen "
           "as \"Other users/OWNER/MAILBOX\".\n\nThe letters of RIGHTS: l see it, r read it, s mark as read, w set "
           "other flags, i put mail into it, t mark as deleted, e expunge, k make mailboxes below it, x remove it, a "
           "change its rights, p send mail to it.",
           "  mailctl rights set alice@example.org Work bob@example.org lrs\n"
           "  mailctl rights set alice@example.org Work anyone lr\n"
           "  mailctl rights set alice@example.org Work -- -carol@example.org lr\n");
  add_names(*command, *options);
  command->add_option("RIGHTS", options->rights, "Letters of lrswipkxtea.")->required();
  command->callback([&context, options] {
    auto rights = store::parse_rights(options->rights);
    if (!rights || *rights == 0) throw CommandFailed("The rights are letters of lrswipkxtea.");
    change(context, *options, *rights);
    context.result({{"owner", options->owner},
                    {"mailbox", options->mailbox},
                    {"who", options->who},
                    {"rights", store::format_rights(*rights)}},
                   fmt::format("{} now has the rights {} to {} of {}.", options->who, store::format_rights(*rights),
                               options->mailbox, options->owner));
  });
}

void add_remove(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("remove", "Takes rights to a mailbox away.");
  describe(*command, "Removes what WHO was given, or was denied, of a mailbox.",
           "  mailctl rights remove alice@example.org Work bob@example.org\n");
  add_names(*command, *options);
  command->callback([&context, options] {
    change(context, *options, 0);
    context.result({{"owner", options->owner}, {"mailbox", options->mailbox}, {"who", options->who}},
                   fmt::format("{} has no rights of its own to {} of {} any more.", options->who, options->mailbox,
                               options->owner));
  });
}

void add_list(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("list", "Lists who may use an account's mailboxes.");
  describe(*command, "Lists who may use an account's mailboxes, besides its owner, who may do everything.",
           "  mailctl rights list alice@example.org\n");
  command->add_option("OWNER", options->owner, "The address of the account.")->required();
  command->callback([&context, options] {
    Json rows = Json::array();
    auto account = context.accounts().open(context.account(options->owner).id);
    for (const store::Mailbox& mailbox : account->mailboxes()) {
      for (const store::Grant& grant : account->grants(mailbox.id)) {
        std::string who(kAnyone);
        if (grant.who != store::kAnyone) {
          auto info = context.directory().account(grant.who);
          if (!info) continue;  // nobody has that account any more
          who = info->address;
        }
        rows.push_back({{"mailbox", mailbox.name},
                        {"who", (grant.negative ? "-" : "") + who},
                        {"rights", store::format_rights(grant.rights)}});
      }
    }
    context.print(rows, {{"mailbox", "MAILBOX"}, {"who", "WHO"}, {"rights", "RIGHTS"}},
                  "Nobody else may use these mailboxes.");
  });
}

}  // namespace

void add_rights_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("rights", "Who may use whose mailboxes.");
  describe(*noun, "Who may use whose mailboxes. Users can do the same by IMAP, with the ACL extension.",
           "  mailctl rights list alice@example.org\n"
           "  mailctl rights set alice@example.org Work bob@example.org lrs\n");
  noun->require_subcommand(1);
  add_list(*noun, context);
  add_set(*noun, context);
  add_remove(*noun, context);
}

}  // namespace postrider::mailctl
