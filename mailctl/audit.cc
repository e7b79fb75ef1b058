// mailctl audit: whether everything that was accepted is where the ledger says.
#include "store/audit.h"

#include <fmt/format.h>

#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxShown = 100'000;  // findings

struct Options {
  bool files = false;
  size_t limit = 1'000;
};

Json or_null(std::string_view text) {
  return text.empty() ? Json() : Json(text);
}

Json json_of(const store::AuditFinding& finding) {
  return {{"kind", finding.kind},
          {"id", finding.message == 0 ? Json() : Json(store::queue_id_text(finding.message))},
          {"accepted", finding.accepted == 0 ? Json() : Json(format_iso_time(finding.accepted))},
          {"sender", finding.accepted == 0 ? Json() : Json('<' + finding.sender + '>')},
          {"recipient", or_null(finding.recipient)},
          {"place", or_null(finding.place)},
          {"ledger", or_null(finding.ledger)},
          {"missing", finding.missing},
          {"advice", finding.advice}};
}

Json json_of(const store::AuditCounts& counts) {
  return {{"messages", counts.messages}, {"recipients", counts.recipients}, {"in_mailboxes", counts.in_mailboxes},
          {"relayed", counts.relayed},   {"returned", counts.returned},     {"removed", counts.removed},
          {"waiting", counts.waiting},   {"moved_on", counts.moved_on},     {"accounts", counts.accounts},
          {"entries", counts.entries},   {"files", counts.files},           {"unjudged", counts.unjudged},
          {"findings", counts.findings}};
}

void tell(Context& context, const store::AuditFinding& finding) {
  if (finding.message != 0) {
    std::string line = "Message " + store::queue_id_text(finding.message);
    if (finding.accepted != 0) {
      line += fmt::format(", accepted {} from <{}>{}", format_time(finding.accepted), finding.sender,
                          finding.recipient.empty() ? "" : " for " + finding.recipient);
    }
    context.say(line);
    if (!finding.place.empty()) context.say("  Place    " + finding.place);
  } else {
    context.say(finding.place);
  }
  if (!finding.ledger.empty()) context.say(fmt::format("  Record   {}", finding.ledger));
  context.say("  Missing  " + finding.missing);
  context.say(fmt::format("  Advice   {}\n", finding.advice));
}

void tell(Context& context, const store::AuditCounts& counts) {
  context.say(
      fmt::format("{} messages for {} recipients were accepted and are remembered: {} put into mailboxes here "
                  "({} of them moved on since), {} handed over, {} returned, {} removed by the administrator, "
                  "{} waiting.",
                  counts.messages, counts.recipients, counts.in_mailboxes, counts.moved_on, counts.relayed,
                  counts.returned, counts.removed, counts.waiting));
  context.say(fmt::format("{} messages lie in the mailboxes of {} accounts.", counts.entries, counts.accounts));
  if (counts.files > 0) context.say(fmt::format("{} files were read.", counts.files));
  if (counts.unjudged > 0)
    context.say(fmt::format("{} are older than what the mailboxes remember, and were not judged.", counts.unjudged));
  if (counts.findings == 0) context.say("Everything adds up.");
}

void audit(Context& context, const Options& options) {
  store::Audit::Options how;
  how.history = context.config().queue.history;
  how.check_files = options.files;
  how.texts = options.files ? store::AuditTexts::all : store::AuditTexts::none;
  Json findings = Json::array();
  size_t shown = 0;
  store::Audit audit(context.state_folder(), context.clock(), how, [&](const store::AuditFinding& finding) {
    if (++shown > std::min(options.limit, kMaxShown)) return;
    if (context.json) {
      findings.push_back(json_of(finding));
    } else {
      tell(context, finding);
    }
  });
  while (audit.step()) {
  }
  const store::AuditCounts& counts = audit.counts();
  if (context.json) {
    Json all = json_of(counts);
    all["found"] = std::move(findings);
    context.write(all.dump(2) + '\n');
  }
  tell(context, counts);
  if (counts.findings == 0) return;
  throw CommandFailed(fmt::format("{} of the things that were looked at do{} not add up.", counts.findings,
                                  counts.findings == 1 ? "es" : ""));
}

}  // namespace

void add_audit_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("audit", "Checks that no accepted message is missing.");
  describe(
      *command,
      "Compares the ledger, the queue and the mailboxes with each other: every message that was accepted must, for "
      "each recipient, lie in a mailbox or have been moved or removed there by its owner, have been handed over with "
      "the other server's reply, have been returned or removed, or wait in the queue; and every mailbox must hold what "
      "its log says. What does not add up is named, with what can be done. It changes nothing, and works while the "
      "daemons run: what comes after it began is not judged. mta does the same every audit.interval.\n\n"
      "Exit status 1 says that something does not add up.",
      "  mailctl audit\n  mailctl audit --files\n  mailctl --json audit\n");
  command->add_flag("--files", options->files,
                    "Read every file as a whole: check its structure, and compare texts with their checksums.");
  command->add_option("--limit", options->limit, "How many findings to show; 1000 unless said. All are counted.")
      ->type_name("COUNT");
  command->callback([&context, options] { audit(context, *options); });
}

}  // namespace postrider::mailctl
