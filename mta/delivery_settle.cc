#include "mta/delivery_settle.h"

#include <iterator>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/mail/address.h"
#include "mta/metrics.h"

namespace postrider {
namespace {

constexpr Seconds kTroubleRetry{60};  // when the directory cannot be read for a report

void log_decision(const store::QueuedMessage& message, const Attempted& attempted, const Decision& decision) {
  const Outcome& outcome = attempted.outcome;
  std::string id = store::queue_id_text(message.id);
  const std::string& to = attempted.recipient->address;
  switch (decision.next) {
    case Decision::Next::end:
      log_info("delivered", {{"msg", id}, {"to", to}, {"host", outcome.remote}, {"reply", outcome.reply}});
      return;
    case Decision::Next::retry:
      log_info("deferred",
               {{"msg", id}, {"to", to}, {"host", outcome.remote}, {"reply", outcome.reply}, {"until", decision.at}});
      return;
    case Decision::Next::bounce:
      log_info(
          "failed",
          {{"msg", id}, {"to", to}, {"host", outcome.remote}, {"reply", outcome.reply}, {"expired", decision.expired}});
  }
}

void count_decision(const Outcome& outcome, const Decision& decision) {
  size_t what = counted::kReturned;
  if (decision.next == Decision::Next::retry) what = counted::kDeferred;
  if (outcome.is_success()) what = outcome.kind == Outcome::Kind::delivered ? counted::kDelivered : counted::kRelayed;
  counted::recipients[what].add();
}

store::Ending ending_of(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::delivered) return store::Ending::mailbox;
  return outcome.kind == Outcome::Kind::relayed ? store::Ending::relayed : store::Ending::failed;
}

store::RecipientUpdate update_of(const store::QueuedMessage& message, const Attempted& attempted,
                                 const Decision& decision, UnixTime now) {
  store::RecipientUpdate update;
  update.message = message.id;
  update.number = attempted.recipient->number;
  update.ended = decision.next != Decision::Next::retry;
  update.next_attempt = decision.at;
  update.last_reply = attempted.outcome.reply;
  update.attempted = attempted.outcome.attempted;
  update.warned = decision.warn;
  update.time = now;
  update.ending = ending_of(attempted.outcome);
  update.mailbox = attempted.outcome.mailbox;
  update.uid = attempted.outcome.uid;
  update.remote = attempted.outcome.remote;
  update.tls = attempted.outcome.tls;
  return update;
}

}  // namespace

void Settlement::append(Settlement&& other) {
  std::move(other.updates.begin(), other.updates.end(), std::back_inserter(updates));
  std::move(other.reports.begin(), other.reports.end(), std::back_inserter(reports));
}

Settler::Settler(Options options, store::DirectoryService& directory, const Clock& clock,
                 std::function<store::QueueId()> next_id)
    : options_(std::make_shared<const Options>(std::move(options))),
      directory_(directory),
      clock_(clock),
      next_id_(std::move(next_id)) {}

void Settler::configure(Options options) {
  auto fresh = std::make_shared<const Options>(std::move(options));
  std::lock_guard lock(mutex_);
  options_ = std::move(fresh);
}

std::shared_ptr<const Settler::Options> Settler::current() const {
  std::lock_guard lock(mutex_);
  return options_;
}

void Settler::settle(const store::QueuedMessage& message, std::span<const Attempted> attempted,
                     Settlement& settlement) {
  UnixTime now = clock_.unix_time();
  Settlement settled;
  std::vector<Told> failed, delayed, delivered, relayed;
  auto options = current();
  settled.updates.reserve(attempted.size());  // they are pointed to
  for (const Attempted& one : attempted) {
    const uint64_t spread = options->spread ? options->spread(message, *one.recipient) : random_u64();
    Decision decision = decide(one.outcome, message, *one.recipient, options->schedule, now, spread);
    store::RecipientUpdate* update = &settled.updates.emplace_back(update_of(message, one, decision, now));
    if (one.outcome.attempted || decision.next != Decision::Next::retry) {
      log_decision(message, one, decision);
      count_decision(one.outcome, decision);
    }
    if (decision.next == Decision::Next::bounce) failed.push_back({one, decision.expired, update});
    if (decision.warn) delayed.push_back({one, false, update});
    if (one.outcome.kind == Outcome::Kind::delivered) delivered.push_back({one, false, update});
    if (one.outcome.kind == Outcome::Kind::relayed && !one.outcome.reports_itself)
      relayed.push_back({one, false, update});
  }
  try {
    report(message, ReportAction::failed, failed, settled);
    report(message, ReportAction::delayed, delayed, settled);
    report(message, ReportAction::delivered, delivered, settled);
    report(message, ReportAction::relayed, relayed, settled);
    settlement.append(std::move(settled));
  } catch (const std::exception& error) {
    log_error("report_failed", {{"msg", store::queue_id_text(message.id)}, {"reason", error.what()}});
    for (store::RecipientUpdate& update : settled.updates) {
      if (update.ended) update.next_attempt = now + kTroubleRetry.count();
      update.ended = update.warned = false;
      update.report = 0;
    }
    settled.reports.clear();
    settlement.append(std::move(settled));
  }
}

void Settler::report(const store::QueuedMessage& message, ReportAction action, std::span<const Told> told,
                     Settlement& settlement) {
  Report report;
  report.action = action;
  std::vector<store::RecipientUpdate*> reported;
  for (const Told& one : told) {
    // Without a return address a success interests nobody, and a failure the postmaster.
    bool to_postmaster = message.reverse_path.empty() && action == ReportAction::failed &&
                         (one.attempted.recipient->notify & store::kNotifyNever) == 0;
    if (!to_postmaster && !wants_report(action, message, *one.attempted.recipient)) continue;
    report.recipients.push_back({*one.attempted.recipient, one.attempted.outcome, one.expired});
    if (one.update != nullptr) reported.push_back(one.update);
  }
  if (report.recipients.empty()) return;
  auto options = current();
  report.hostname = options->system.hostname;
  report.now = clock_.unix_time();
  report.retry_until = message.accepted + options->schedule.lifetime.count();
  report.to = message.reverse_path;
  store::MailKind kind = message.reverse_path.empty() ? store::MailKind::double_bounce : store::MailKind::report;
  store::QueueId id = send(message, std::move(report), kind, *options, settlement);
  for (store::RecipientUpdate* update : reported) update->report = id;
}

std::vector<store::QueuedMessage> Settler::tell_expanded(const store::QueuedMessage& message) {
  Settlement settlement;
  std::vector<Told> told;
  Outcome outcome = Outcome::delivered();
  outcome.reply.clear();
  for (const store::QueuedRecipient& recipient : message.expanded)
    told.push_back({{&recipient, outcome}, false, nullptr});
  try {
    report(message, ReportAction::expanded, told, settlement);
  } catch (const std::exception& error) {
    log_error("report_failed", {{"msg", store::queue_id_text(message.id)}, {"reason", error.what()}});
    settlement.reports.clear();
  }
  return std::move(settlement.reports);
}

/// Its id; 0 where nobody is there to be told.
store::QueueId Settler::send(const store::QueuedMessage& original, Report report, store::MailKind kind,
                             const Options& options, Settlement& settlement) {
  std::string id = store::queue_id_text(original.id);
  if (original.kind == store::MailKind::double_bounce) {
    log_error("report_lost", {{"msg", id}, {"reason", "the postmaster's own report could not be delivered"}});
    return 0;
  }
  store::QueuedMessage message;
  if (kind == store::MailKind::report) message.recipients = recipients_of(report.to, options);
  if (message.recipients.empty()) {
    // The sender is one of ours and is gone.
    kind = store::MailKind::double_bounce;
    report.double_bounce = true;
    report.to = "postmaster@" + options.system.hostname;
    message.recipients = recipients_of("postmaster", options);
  }
  if (message.recipients.empty()) {
    log_error("report_lost", {{"msg", id}, {"reason", "no account is there that could be the postmaster's"}});
    return 0;
  }
  message.id = next_id_();
  message.kind = kind;
  message.accepted = report.now;
  report.id = store::queue_id_text(message.id);
  message.message_id = report_message_id(report);
  std::string text = format_report(report, original);
  message.smtputf8 = original.smtputf8;
  if (original.tls == TlsNeed::required) message.tls = TlsNeed::required;  // what it tells is as confidential
  message.eight_bit = has_8bit(text);
  store::Spool body(options.spool_directory);
  if (options.signer != nullptr) body.append(options.signer->sign_own(options.system.hostname, text));
  body.append(text);
  body.sync();
  message.body = std::make_shared<const store::Spool>(std::move(body));
  log_info("report", {{"msg", report.id}, {"about", id}, {"to", report.to}, {"double", report.double_bounce}});
  counted::messages_accepted[counted::kFromReports].add();
  settlement.reports.push_back(std::move(message));
  return settlement.reports.back().id;
}

std::vector<store::QueuedRecipient> Settler::recipients_of(const std::string& address, const Options& options) {
  auto parsed = parse_mailbox(address, Utf8::allowed);
  Address to = parsed ? *parsed : Address{address, {}};  // "postmaster" alone
  auto resolution = directory_.with([&](store::Directory& directory) { return options.system.resolve(directory, to); });
  if (resolution.kind == store::RecipientKind::foreign_domain && parsed) resolution.targets.push_back({0, address, 0});
  std::vector<store::QueuedRecipient> recipients;
  for (store::Target& target : resolution.targets) {
    store::QueuedRecipient recipient;
    recipient.number = static_cast<int64_t>(recipients.size()) + 1;
    recipient.account = target.account;
    recipient.address = std::move(target.address);
    recipient.original = address;
    recipient.next_attempt = clock_.unix_time();
    recipients.push_back(std::move(recipient));
  }
  return recipients;
}

}  // namespace postrider
