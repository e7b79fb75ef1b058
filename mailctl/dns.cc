// mailctl dns: what to publish for a domain, and whether it is.
#include <fmt/format.h>

#include "common/mail/address.h"
#include "mailctl/commands.h"
#include "mailctl/dns_check.h"
#include "mailctl/resolver.h"
#include "store/dkim_keys.h"

namespace postrider::mailctl {
namespace {

void print_records(Context& context, const std::string& domain) {
  Json rows = Json::array();
  for (const WantedRecord& record : wanted_records(context.config(), domain, context.clock().unix_time())) {
    rows.push_back({{"name", record.name}, {"type", record.type}, {"value", record.value}, {"why", record.why}});
    if (context.json) continue;
    context.say(fmt::format("; {}", record.why));
    context.say(record.type == "TXT" ? store::zone_line(record.name, record.value)
                                     : fmt::format("{}. IN {} {}", record.name, record.type, record.value));
  }
  if (context.json) context.write(rows.dump(2) + '\n');
}

void check_records(Context& context, const std::string& domain) {
  Report report;
  Resolver resolver(context.config().dns.server);
  check_domain_dns(resolver, context.config(), domain, context.clock().unix_time(), report);
  print_report(context, report);
}

}  // namespace

void add_dns_command(CLI::App& app, Context& context) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("dns", "What DNS is to hold for a domain.");
  describe(*command,
           "Prints the records that DNS is to hold for a domain, as lines of a zone file: MX, SPF, DKIM, DMARC, "
           "TLS-RPT, MTA-STS, services for "
           "mail programs, TLSA. With \"check\" before the domain it asks DNS instead and says what is missing or "
           "wrong, and what "
           "to do about it; exit status 1 where there is a problem.\n\n"
           "The addresses of server.hostname and their PTR records are looked at by `mailctl doctor`.",
           "  mailctl dns example.org\n  mailctl dns check example.org\n");
  command->add_option("DOMAIN", *words, "The domain; \"check DOMAIN\" looks at what is there.")
      ->required()
      ->expected(1, 2);
  command->callback([&context, words] {
    const bool check = words->size() == 2;
    if (check && words->front() != "check")
      throw CommandFailed("Say `mailctl dns DOMAIN` or `mailctl dns check DOMAIN`.", kUsage);
    const std::string domain = context.domain(words->back());
    check ? check_records(context, domain) : print_records(context, domain);
  });
}

}  // namespace postrider::mailctl
