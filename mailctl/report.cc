// mailctl report: what others report of our mail to them, and what we saw of TLS with them.
#include <fmt/format.h>

#include "mailctl/commands.h"
#include "store/tls_records.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxShown = 1'000;

struct Options {
  std::string domain;
  size_t limit = 30;
};

void add_list(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("list", "Lists the reports of others.");
  describe(
      *command,
      "Lists the reports that came, the newest first: who reports, about which domain of this server, and how many "
      "connections (tls) or messages (dmarc) were as they have to be and how many were not.",
      "  mailctl report list\n  mailctl report list example.org --limit 100\n");
  command->add_option("DOMAIN", options->domain, "Only about this domain.");
  command->add_option("--limit", options->limit, "How many at most; 30 unless said.")->type_name("COUNT");
  command->callback([&context, options] {
    store::TlsRecords records(context.state_folder());
    const std::string domain = options->domain.empty() ? std::string() : context.domain(options->domain);
    Json rows = Json::array();
    for (const ReceivedReport& one : records.reports(domain, std::min(options->limit, kMaxShown))) {
      rows.push_back({{"kind", one.kind},
                      {"from", one.organization},
                      {"id", one.report_id},
                      {"domain", one.domain},
                      {"begin", one.begin},
                      {"end", one.end},
                      {"good", one.good},
                      {"bad", one.bad},
                      {"details", one.details}});
    }
    context.print(rows,
                  {{"kind", "KIND"},
                   {"end", "UNTIL", Show::time},
                   {"domain", "DOMAIN"},
                   {"good", "GOOD"},
                   {"bad", "BAD"},
                   {"from", "FROM"},
                   {"id", "ID"}},
                  "No reports have come.");
  });
}

void add_show(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("show", "Shows one report.");
  describe(*command, "Shows what a report says of what was wrong.",
           "  mailctl report show 2026-01-31T00:00:00Z_example\n");
  command->add_option("ID", options->domain, "The report's id, as `mailctl report list` shows it.")->required();
  command->callback([&context, options] {
    store::TlsRecords records(context.state_folder());
    for (const ReceivedReport& one : records.reports({}, store::TlsRecords::kMaxReports)) {
      if (one.report_id != options->domain) continue;
      const std::string text =
          fmt::format("Report of {} about {}, from {} to {}: {} good, {} bad\n{}", one.organization, one.domain,
                      format_time(one.begin), format_time(one.end), one.good, one.bad, one.details);
      return context.result({{"kind", one.kind},
                             {"from", one.organization},
                             {"domain", one.domain},
                             {"good", one.good},
                             {"bad", one.bad},
                             {"details", one.details}},
                            text.substr(0, text.find_last_not_of('\n') + 1));
    }
    throw CommandFailed(
        fmt::format("There is no report {}. `mailctl report list` shows what has come.", options->domain));
  });
}

}  // namespace

void add_report_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("report", "What others report of this server's domains.");
  describe(
      *noun,
      "Reports that other servers send about mail to the domains of this one (TLS-RPT, RFC 8460) and in their name "
      "(DMARC, RFC 7489). They are read when they come to the mailbox that the domain's record names, and lie there "
      "as well.",
      "  mailctl report list\n  mailctl report show ID\n");
  noun->require_subcommand(1);
  add_list(*noun, context);
  add_show(*noun, context);
}

}  // namespace postrider::mailctl
