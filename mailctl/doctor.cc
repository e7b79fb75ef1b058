// mailctl doctor: is everything in order, and if not, what to do.
#include "mailctl/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "mailctl/commands.h"
#include "store/queue.h"

namespace postrider::mailctl {
namespace {

constexpr UnixTime kOldMail = 86'400;  // seconds in the queue that are worth a word

std::string_view word(Health health) {
  switch (health) {
    case Health::fine:
      return "ok";
    case Health::warning:
      return "warning";
    case Health::problem:
      return "PROBLEM";
  }
  return "";
}

void fail_for(const Report& report) {
  if (report.count(Health::problem) > 0) throw CommandFailed("There are problems; see above.");
}

/// A check that fails itself is a finding.
template <class Check>
void guarded(Report& report, const std::string& subject, Check check) {
  try {
    check();
  } catch (const std::exception& error) {
    report.problem(subject, error.what(), "The check could not be made; see the message before this one.");
  }
}

void run_doctor(Context& context, bool offline) {
  Report report;
  const Config& config = context.config();
  report.fine("configuration", "It is read and valid.");
  std::vector<std::string> domains;
  // Becomes the daemons' user first: what that one cannot read is what has to be found.
  guarded(report, "state folder", [&] { context.state_folder(); });
  check_state_folder(config, report);
  check_disk(config, report);
  check_certificate(config, context.clock().unix_time(), report);
  guarded(report, "directory", [&] {
    check_directory(context, report);
    for (const store::DomainInfo& domain : context.directory().domains()) domains.push_back(domain.name);
  });
  guarded(report, "queue", [&] { check_queue(context, report); });
  check_daemons(config, report);
  check_ports(config, report);
  if (!offline) check_dns(config, domains, context.clock().unix_time(), report);
  print_report(context, report);
}

}  // namespace

size_t Report::count(Health health) const {
  return static_cast<size_t>(
      std::count_if(findings_.begin(), findings_.end(), [&](const Finding& f) { return f.health == health; }));
}

void print_report(Context& context, const Report& report) {
  if (context.json) {
    Json all = Json::array();
    for (const Finding& finding : report.findings()) {
      all.push_back({{"health", finding.health == Health::problem ? "problem" : word(finding.health)},
                     {"subject", finding.subject},
                     {"message", finding.message},
                     {"advice", finding.advice.empty() ? Json() : Json(finding.advice)}});
    }
    context.write(all.dump(2) + '\n');
    return fail_for(report);
  }
  for (const Finding& finding : report.findings()) {
    context.say(fmt::format("{:<8} {:<14} {}", word(finding.health), finding.subject, finding.message));
    if (!finding.advice.empty()) context.say(fmt::format("{:<23} {}", "", finding.advice));
  }
  const size_t problems = report.count(Health::problem), warnings = report.count(Health::warning);
  context.say("");
  if (problems + warnings == 0) return context.say("Everything is in order.");
  context.say(fmt::format("{} problem{}, {} warning{}.", problems, problems == 1 ? "" : "s", warnings,
                          warnings == 1 ? "" : "s"));
  fail_for(report);
}

void check_directory(Context& context, Report& report) {
  store::Directory& directory = context.directory();
  const std::vector<store::DomainInfo> domains = directory.domains();
  const std::vector<store::AccountInfo> accounts = directory.accounts();
  if (domains.empty()) {
    report.problem("directory", "There are no domains, so no mail is taken.", "mailctl domain add DOMAIN");
    return;
  }
  if (accounts.empty()) {
    report.problem("directory", "There are no accounts, so nobody can log in.", "mailctl account add ADDRESS");
    return;
  }
  report.fine("directory", fmt::format("{} domain{}, {} account{}.", domains.size(), domains.size() == 1 ? "" : "s",
                                       accounts.size(), accounts.size() == 1 ? "" : "s"));
  for (const store::AccountInfo& account : accounts) {
    const std::string path = context.accounts().path_of(account.id);
    if (!store::is_set_aside(path)) continue;
    report.problem("account", fmt::format("The file of {} was damaged and is set aside.", account.address),
                   fmt::format("`mailctl recover {}` brings back what can be read of it.", account.address));
  }
  for (const store::DomainInfo& domain : domains) {
    const auto postmaster = directory.resolve("postmaster", domain.name, context.config().address.separators);
    if (postmaster.kind == store::RecipientKind::known && !postmaster.targets.empty()) continue;
    report.warning("postmaster",
                   fmt::format("Nobody gets mail to postmaster@{}, which every domain must have.", domain.name),
                   fmt::format("mailctl alias set postmaster@{} ADDRESS", domain.name));
  }
}

void check_queue(Context& context, Report& report) {
  if (::access((context.state_folder() + "/queue.db").c_str(), F_OK) != 0)
    return report.fine("queue", "There is none yet.");
  store::Queue queue(context.state_folder(), context.clock());
  const store::QueueSummary summary = queue.summary();
  if (summary.messages == 0) return report.fine("queue", "Nothing waits to be delivered.");
  const UnixTime now = context.clock().unix_time();
  const UnixTime overdue = summary.first_due == 0 ? 0 : now - summary.first_due;
  if (summary.set_aside > 0) {
    report.problem("queue",
                   fmt::format("{} recipient{} set aside: two processes ended while they had the message in hand.",
                               summary.set_aside, summary.set_aside == 1 ? " is" : "s are"),
                   "`mailctl queue list --state held` shows them; `mailctl queue release` tries them again.");
  }
  const std::string waiting =
      fmt::format("{} message{} for {} recipient{} wait{}", summary.messages, summary.messages == 1 ? "" : "s",
                  summary.recipients, summary.recipients == 1 ? "" : "s", summary.messages == 1 ? "s" : "");
  constexpr UnixTime kMuchOverdue = 600;
  if (overdue > kMuchOverdue) {
    report.warning("queue", fmt::format("{}, one of them overdue by {} minutes.", waiting, overdue / 60),
                   "Is mta running? `mailctl queue list` shows them.");
  } else if (now - summary.oldest > kOldMail) {
    report.warning("queue", fmt::format("{}, the oldest since {}.", waiting, format_time(summary.oldest)),
                   "`mailctl queue list` shows them with the reason.");
  } else {
    report.fine("queue", waiting + '.');
  }
}

void add_doctor_command(CLI::App& app, Context& context) {
  auto offline = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("doctor", "Checks that everything is in order.");
  describe(
      *command,
      "Checks that everything is in order: configuration, state folder, permissions, disk space, certificate, "
      "domains, queue, daemons, ports and DNS. Says in words what to do about what is wrong. Exit status 1 where there "
      "is a problem; warnings alone are 0.",
      "  mailctl doctor\n  mailctl doctor --offline\n"
      "  mailctl --json doctor | jq '.[] | select(.health != \"ok\")'\n");
  command->add_flag("--offline", *offline, "Do not ask DNS.");
  command->callback([&context, offline] { run_doctor(context, *offline); });
}

}  // namespace postrider::mailctl
