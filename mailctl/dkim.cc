// mailctl dkim: the keys that sign what our domains send.
#include <fmt/format.h>

#include <algorithm>

#include "common/config/values.h"
#include "common/mail/address.h"
#include "mailctl/commands.h"
#include "store/dkim_keys.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string domain, selector, overlap = "3d";
  bool force = false;
};

store::DkimKeys keys_of(Context& context) {
  return store::DkimKeys(context.state_folder());
}

Json row_of(const store::DkimKey& key, std::string_view state) {
  return {{"domain", key.domain},
          {"selector", key.selector},
          {"algorithm", std::string(dkim::to_string(key.algorithm))},
          {"state", std::string(state)},
          {"signs_from", key.signs_from == store::kWhenPublished ? 0 : key.signs_from},
          {"record_name", key.record_name()},
          {"record", key.record}};
}

void add_list(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("list", "Lists the keys.");
  describe(*command,
           "Lists the keys of a domain, or of all. \"signs\": mail is signed with it. \"next\": it is to be in DNS "
           "already and "
           "signs from the time that is shown. \"waits\": it signs when mta has seen its record in DNS (dkim.rotate). "
           "\"old\": "
           "nothing is signed with it any more; its record is still needed by mail that is on its way. \"unused\": its "
           "record may "
           "be taken out of DNS.",
           "  mailctl dkim list\n  mailctl --json dkim list example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.");
  command->callback([&context, options] {
    const auto keys = keys_of(context);
    const UnixTime now = context.clock().unix_time();
    Json rows = Json::array();
    const auto domains = options->domain.empty() ? keys.domains() : std::vector{context.domain(options->domain)};
    for (const std::string& domain : domains) {
      const auto all = keys.list(domain);
      for (const store::DkimKey& key : all) rows.push_back(row_of(key, to_string(store::use_of(all, key, now))));
    }
    context.print(rows,
                  {{"domain", "DOMAIN"},
                   {"selector", "SELECTOR"},
                   {"algorithm", "ALGORITHM"},
                   {"state", "STATE"},
                   {"signs_from", "SIGNS FROM", Show::time}},
                  "There are no keys. `mailctl dkim create DOMAIN` makes them.");
  });
}

void print_made(Context& context, const std::vector<store::DkimKey>& made, const std::string& what) {
  Json rows = Json::array();
  for (const store::DkimKey& key : made) rows.push_back(row_of(key, "made"));
  if (context.json) return context.write(rows.dump(2) + '\n');
  context.say(what);
  for (const store::DkimKey& key : made) context.say(store::zone_line(key.record_name(), key.record));
}

void add_create(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("create", "Makes the first keys of a domain.");
  describe(*command,
           "Makes an RSA key and an Ed25519 key for a domain that has none, and prints the records that DNS is to "
           "hold. What the "
           "domain's users send is signed with both from now on. `mailctl domain add` does the same.",
           "  mailctl dkim create example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  command->callback([&context, options] {
    const std::string domain = context.domain(options->domain);
    auto keys = keys_of(context);
    if (!keys.list(domain).empty()) {
      throw CommandFailed(
          fmt::format("{} has keys already. `mailctl dkim rotate {}` makes those that follow them.", domain, domain));
    }
    const UnixTime now = context.clock().unix_time();
    print_made(context, keys.create(domain, now, now),
               fmt::format("Mail of {} is signed from now on. Put into DNS:", domain));
  });
}

void rotate(Context& context, const Options& options) {
  const std::string domain = context.domain(options.domain);
  const auto overlap = config::parse_duration(options.overlap);
  if (!overlap) throw CommandFailed(fmt::format("\"{}\" is no duration, such as 3d or 12h.", options.overlap), kUsage);
  auto keys = keys_of(context);
  const UnixTime now = context.clock().unix_time();
  const auto before = keys.list(domain);
  const auto waiting =
      std::find_if(before.begin(), before.end(), [&](const auto& key) { return key.signs_from > now; });
  if (waiting != before.end() && !options.force) {
    throw CommandFailed(
        waiting->signs_from == store::kWhenPublished
            ? fmt::format(
                  "The keys that follow are there already and sign when DNS has their records, see `mailctl dns "
                  "check {}`. --force makes others.",
                  domain)
            : fmt::format("The keys that follow are there already and sign from {} on. --force makes others.",
                          format_time(waiting->signs_from)));
  }
  // Old ones whose signatures nobody looks at any more go; those that sign stay until others have taken their place.
  std::vector<std::string> gone;
  for (const store::DkimKey& key : before) {
    if (store::use_of(before, key, now) == store::DkimUse::unused && keys.remove(domain, key.selector)) {
      gone.push_back(key.record_name());
    }
  }
  const UnixTime from = now + std::chrono::duration_cast<Seconds>(*overlap).count();
  const auto made = keys.create(domain, now, from);
  print_made(context, made,
             fmt::format(
                 "New keys of {} sign from {} on; until then the present ones do. Put into DNS before, and leave there "
                 "what is there:",
                 domain, format_time(from)));
  for (const std::string& name : gone) context.say(fmt::format("No longer needed in DNS: {}", name));
}

void add_rotate(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("rotate", "Makes the keys that follow the present ones.");
  describe(
      *command,
      "Makes new keys of a domain, which sign when the overlap is over, so that there is time to put them into "
      "DNS and for "
      "DNS to spread them. Until then the present ones sign, and their records stay useful for mail that is on "
      "its way: old "
      "keys are removed by the next rotation, two weeks after their last use at the earliest. A few times a year "
      "is a good "
      "rhythm.\n\nWith dkim.rotate in the configuration mta does all of this by itself, at the pace of whoever keeps "
      "DNS.",
      "  mailctl dkim rotate example.org\n  mailctl dkim rotate --overlap 7d example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  command->add_option("--overlap", options->overlap, "How long the present keys go on signing: 3d unless given.")
      ->type_name("DURATION");
  command->add_flag("--force", options->force, "Even while keys wait for their time.");
  command->callback([&context, options] { rotate(context, *options); });
}

void add_show(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("show", "Prints the records of a domain's keys.");
  describe(*command,
           "Prints the records that DNS is to hold for the keys of a domain, as lines of a zone file. "
           "STATE/dkim/DOMAIN/ has them "
           "as text files too.",
           "  mailctl dkim show example.org\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  command->callback([&context, options] {
    const std::string domain = context.domain(options->domain);
    const auto keys = keys_of(context).list(domain);
    if (keys.empty())
      throw CommandFailed(fmt::format("{} has no keys. `mailctl dkim create {}` makes them.", domain, domain));
    Json rows = Json::array();
    for (const store::DkimKey& key : keys) {
      rows.push_back({{"name", key.record_name()}, {"type", "TXT"}, {"value", key.record}});
      context.say(store::zone_line(key.record_name(), key.record));
    }
    if (context.json) context.write(rows.dump(2) + '\n');
  });
}

void add_remove(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("remove", "Removes a key.");
  describe(*command, "Removes a key for good. One that signs, or is to sign, is removed with --force only.",
           "  mailctl dkim remove example.org r20260131\n");
  command->add_option("DOMAIN", options->domain, "The domain.")->required();
  command->add_option("SELECTOR", options->selector, "Which key: see `mailctl dkim list`.")->required();
  command->add_flag("--force", options->force, "Even if it is in use.");
  command->callback([&context, options] {
    const std::string domain = require(normalize_domain(options->domain));
    auto keys = keys_of(context);
    const UnixTime now = context.clock().unix_time();
    const auto all = keys.list(domain);
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& key) { return key.selector == options->selector; });
    if (found == all.end()) throw CommandFailed(fmt::format("{} has no key {}.", domain, options->selector));
    if (!options->force && !store::replaced_at(all, *found, now)) {
      throw CommandFailed(fmt::format("The key {} is in use; --force removes it all the same.", options->selector));
    }
    keys.remove(domain, options->selector);
    context.result({{"domain", domain}, {"selector", options->selector}},
                   fmt::format("The key is gone. No longer needed in DNS: {}", found->record_name()));
  });
}

}  // namespace

void make_first_keys(Context& context, const std::string& domain) {
  auto keys = keys_of(context);
  const UnixTime now = context.clock().unix_time();
  if (keys.list(domain).empty()) keys.create(domain, now, now);
}

void remove_keys(Context& context, const std::string& domain) {
  auto keys = keys_of(context);
  for (const store::DkimKey& key : keys.list(domain)) keys.remove(domain, key.selector);
}

void add_dkim_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("dkim", "The keys that sign what is sent.");
  describe(
      *noun,
      "The keys that sign what the users of our domains send (DKIM), so that other servers see that it was not changed "
      "and "
      "comes from here. A domain has an RSA key, which everybody understands, and an Ed25519 key, which is shorter.",
      "  mailctl dkim list\n  mailctl dkim show example.org\n  mailctl dkim rotate example.org\n");
  noun->require_subcommand(1);
  add_list(*noun, context);
  add_create(*noun, context);
  add_rotate(*noun, context);
  add_show(*noun, context);
  add_remove(*noun, context);
}

}  // namespace postrider::mailctl
