#include "mta/own_mail.h"

#include <fmt/format.h>

#include <future>

#include "common/base/base64.h"
#include "common/base/log.h"
#include "common/mail/date.h"

namespace postrider {
namespace {

constexpr size_t kLine = 76;  // of base64 (RFC 2045 6.8)

std::string base64_lines(std::string_view octets) {
  const std::string text = base64_encode(octets);
  std::string lines;
  for (size_t at = 0; at < text.size(); at += kLine) lines += text.substr(at, kLine) + "\r\n";
  return lines;
}

std::string format_head(const OutgoingReport& report, const std::string& from, const std::string& message_id,
                        const std::string& boundary, UnixTime now) {
  return fmt::format(
      "From: <{}>\r\nTo: <{}>\r\nDate: {}\r\nMessage-ID: {}\r\nSubject: {}\r\n{}Auto-Submitted: auto-generated\r\n"
      "MIME-Version: 1.0\r\nContent-Type: multipart/{}; boundary=\"{}\"\r\n",
      from, report.to, format_date_time(now), message_id, report.subject, report.fields,
      report.report_type.empty() ? "mixed" : fmt::format("report; report-type=\"{}\"", report.report_type), boundary);
}

std::string format_body(const OutgoingReport& report, const std::string& boundary) {
  return fmt::format(
      "\r\n--{0}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{1}\r\n--{0}\r\nContent-Type: {2}\r\n"
      "Content-Disposition: attachment; filename=\"{3}\"\r\nContent-Transfer-Encoding: "
      "base64\r\n\r\n{4}\r\n--{0}--\r\n",
      boundary, report.text, report.media, report.file, base64_lines(report.octets));
}

}  // namespace

std::string OwnMail::sender() {
  if (from.find('@') != std::string::npos) return from;
  const std::string domain = directory.with([](store::Directory& open) { return open.first_domain(); });
  return fmt::format("{}@{}", from, domain.empty() ? system.hostname : domain);
}

std::vector<store::QueuedRecipient> OwnMail::recipients_of(const std::string& address) {
  std::vector<store::QueuedRecipient> recipients;
  const auto parsed = parse_mailbox(address, Utf8::refused);
  if (!parsed) return recipients;
  auto resolution = directory.with([&](store::Directory& open) { return system.resolve(open, *parsed); });
  if (resolution.kind == store::RecipientKind::foreign_domain) resolution.targets.push_back({0, address, 0});
  for (store::Target& target : resolution.targets) {
    store::QueuedRecipient recipient;
    recipient.number = static_cast<int64_t>(recipients.size()) + 1;
    recipient.account = target.account;
    recipient.address = std::move(target.address);
    recipient.original = address;
    recipient.notify = store::kNotifyNever;  // nobody would read it
    recipient.next_attempt = clock.unix_time();
    recipients.push_back(std::move(recipient));
  }
  return recipients;
}

bool OwnMail::send(const OutgoingReport& report) {
  store::QueuedMessage message;
  message.recipients = recipients_of(report.to);
  if (message.recipients.empty()) return true;
  message.id = acceptor.next_id();
  message.accepted = clock.unix_time();
  message.kind = store::MailKind::report;
  if (report.waives_tls) message.tls = TlsNeed::waived;
  const std::string author = sender();
  message.message_id = fmt::format("<{}@{}>", report.id, system.hostname);
  const std::string boundary = "=_" + store::queue_id_text(message.id);
  const std::string head = format_head(report, author, message.message_id, boundary, message.accepted);
  const std::string body = format_body(report, boundary);
  store::Spool spool(acceptor.spool_directory());
  spool.append(signer.sign_own(author.substr(author.rfind('@') + 1), head + body));
  spool.append(head + body);
  spool.sync();
  message.body = std::make_shared<const store::Spool>(std::move(spool));
  auto answer = std::make_shared<std::promise<Acceptance>>();
  auto answered = answer->get_future();
  accept(std::move(message), [answer](Acceptance acceptance) { answer->set_value(std::move(acceptance)); });
  const Acceptance acceptance = answered.get();
  if (!acceptance) log_warn("report_not_accepted", {{"to", report.to}, {"reason", acceptance.error().detail}});
  return bool(acceptance);
}

}  // namespace postrider
