// mailctl domain: the domains that this server takes mail for.
#include <fmt/format.h>

#include "common/mail/address.h"
#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string domain, address;
  bool none = false, unsigned_mail = false;
};

void add_add(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("add", "Takes mail for a domain from now on.");
  describe(*command,
           "Takes mail for a domain from now on. Its MX record must point to this server; `mailctl doctor` looks. A "
           "domain with "
           "letters beyond ASCII is kept in its ASCII form.\n\n"
           "Keys are made that sign what its users send (DKIM); `mailctl dns DOMAIN` prints what DNS is to hold for "
           "that and "
           "for the rest.",
           "  mailctl domain add example.org\n  mailctl domain add --no-dkim example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  command->add_flag("--no-dkim", options->unsigned_mail, "Make no keys: its mail is not signed here.");
  command->callback([&context, options] {
    require(context.directory().add_domain(options->domain));
    if (!options->unsigned_mail) make_first_keys(context, require(normalize_domain(options->domain)));
    context.result({{"domain", options->domain}}, fmt::format("Mail for {} is taken from now on.", options->domain));
  });
}

void add_remove(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("remove", "Takes no more mail for a domain.");
  describe(*command,
           "Takes no more mail for a domain. Refused while it has accounts or aliases: remove those first. "
           "Its DKIM keys go with it.",
           "  mailctl domain remove example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  command->callback([&context, options] {
    require(context.directory().remove_domain(options->domain));
    remove_keys(context, require(normalize_domain(options->domain)));
    context.result({{"domain", options->domain}}, fmt::format("Mail for {} is refused from now on.", options->domain));
  });
}

void add_list(CLI::App& noun, Context& context) {
  CLI::App* command = noun.add_subcommand("list", "Lists the domains.");
  describe(*command, "Lists the domains that mail is taken for, with the number of their accounts and their catch-all.",
           "  mailctl domain list\n  mailctl --json domain list\n");
  command->callback([&context] {
    Json rows = Json::array();
    for (const store::DomainInfo& domain : context.directory().domains()) {
      rows.push_back({{"domain", domain.name},
                      {"accounts", domain.accounts},
                      {"catch_all", domain.catch_all.empty() ? Json() : Json(domain.catch_all)},
                      {"created", domain.created}});
    }
    context.print(
        rows,
        {{"domain", "DOMAIN"}, {"accounts", "ACCOUNTS"}, {"catch_all", "CATCH-ALL"}, {"created", "SINCE", Show::time}},
        "There are no domains yet. `mailctl domain add DOMAIN` adds one.");
  });
}

void add_catch_all(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("catch-all", "Says who gets mail to unknown users of a domain.");
  describe(*command,
           "Says who gets mail to addresses of a domain that nobody has. Without a catch-all, which is the default and "
           "keeps "
           "junk away, such mail is refused while its sender is still connected.",
           "  mailctl domain catch-all example.org alice@example.org\n  mailctl domain catch-all --none example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  auto* address = command->add_option("ADDRESS", options->address, "Who gets it.");
  command->add_flag("--none", options->none, "Nobody from now on.")->excludes(address);
  command->callback([&context, options] {
    if (options->address.empty() && !options->none) throw CommandFailed("Name an address, or --none.", kUsage);
    require(context.directory().set_catch_all(options->domain, options->address));
    context.result({{"domain", options->domain}, {"catch_all", options->none ? Json() : Json(options->address)}},
                   options->none
                       ? fmt::format("Mail to unknown users of {} is refused.", options->domain)
                       : fmt::format("Mail to unknown users of {} goes to {}.", options->domain, options->address));
  });
}

}  // namespace

void add_domain_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("domain", "The domains that mail is taken for.");
  describe(*noun, "The domains that mail is taken for.", "  mailctl domain add example.org\n  mailctl domain list\n");
  noun->require_subcommand(1);
  add_add(*noun, context);
  add_remove(*noun, context);
  add_list(*noun, context);
  add_catch_all(*noun, context);
}

}  // namespace postrider::mailctl
