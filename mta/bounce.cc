#include "mta/bounce.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/smtp/xtext.h"

namespace postrider {
namespace {

constexpr size_t kMaxFieldLine = 900;  // octets of one line of a report that repeats what others said

struct Explanation {
  std::string_view status;  // of failures; its first digit does not count
  std::string_view text;
};

// The first entry that a status begins with (after its class) is taken.
constexpr Explanation kExplanations[] = {
    {"1.1", "There is no such address at that server. Check how it is spelled, or ask the recipient for the new one."},
    {"1.2", "The part after the @ names no mail server. Check how it is spelled."},
    {"1.10", "That domain says that it takes no mail at all. Check how the address is spelled."},
    {"1.", "The address was refused. Check how it is spelled."},
    {"2.1", "The mailbox is switched off or takes no mail. Reach the recipient in another way."},
    {"2.2", "The recipient's mailbox is full. Reach the recipient in another way, or send it again later."},
    {"2.3", "The message is larger than the recipient takes. Send it with smaller or fewer attachments."},
    {"3.4", "The message is larger than that server takes. Send it with smaller or fewer attachments."},
    {"2.", "The recipient's mailbox cannot take it. Send it again later, or reach the recipient in another way."},
    {"3.",
     "The recipient's server has a trouble of its own. Send it again later; if it stays so, its postmaster has to "
     "help."},
    {"4.1", "The recipient's server does not answer. Check the part after the @; if it is right, send it again later."},
    {"4.4", "The recipient's server could not be found. Check how the part after the @ is spelled."},
    {"4.6",
     "The message was sent in circles between servers. The postmaster of the recipient's domain has to mend that."},
    {"4.7", "It could not be delivered in the time that a message may take."},
    {"4.",
     "The recipient's server could not be reached. Check the part after the @; if it is right, send it again later."},
    {"6.", "That server cannot handle the form of the message. Send it as plain text, without special characters."},
    {"7.",
     "That server refuses it by its rules. Its own words above say more; its postmaster can tell what to change."},
    {"", "The recipient's server gave no better reason than its own words above."},
};

std::string_view action_word(ReportAction action) {
  switch (action) {
    case ReportAction::failed:
      return "failed";
    case ReportAction::delayed:
      return "delayed";
    case ReportAction::delivered:
      return "delivered";
    case ReportAction::relayed:
      return "relayed";
    case ReportAction::expanded:
      return "expanded";
  }
  return "failed";
}

std::string_view subject_of(const Report& report) {
  if (report.double_bounce) return "A report could not be delivered";
  switch (report.action) {
    case ReportAction::failed:
      return "Your message was not delivered";
    case ReportAction::delayed:
      return "Your message is delayed";
    case ReportAction::relayed:
      return "Your message was passed on";
    case ReportAction::expanded:
      return "Your message was passed on to several recipients";
    default:
      return "Your message was delivered";
  }
}

std::string_view opening_of(const Report& report) {
  if (report.double_bounce) {
    return "A message without a return address (most often a report like this one) could not\r\n"
           "be delivered. You get it because you are the postmaster.\r\n";
  }
  switch (report.action) {
    case ReportAction::failed:
      return "Your message could not be delivered to the recipients named below.\r\n"
             "It will not be tried again; they have not got it.\r\n";
    case ReportAction::delayed:
      return "Your message is on its way for longer than usual. You need not do anything:\r\n"
             "it is still being tried, and you will hear again if it cannot be delivered.\r\n";
    case ReportAction::relayed:
      return "Your message was handed to the next mail server, which does not send reports\r\n"
             "of its own. This is not a failure.\r\n";
    case ReportAction::expanded:
      return "Your message was passed on to everybody who gets the mail of the addresses named\r\n"
             "below. You will hear of it where one of them cannot be reached, not where it arrives.\r\n";
    default:
      return "Your message was delivered, and you asked to be told.\r\n";
  }
}

/// Whether a text begins as a reply does: three digits.
bool is_reply(std::string_view text) {
  return text.size() >= 3 && is_digit(text[0]) && is_digit(text[1]) && is_digit(text[2]);
}

/// What strangers said, as text of one line: no control characters, 8-bit only where the report may hold it.
std::string safe_line(std::string_view text, bool utf8) {
  std::string line(text.substr(0, kMaxFieldLine));
  // A cut must not leave half of a UTF-8 character.
  while (line.size() < text.size() && !line.empty() && is_8bit(line.back())) line.pop_back();
  for (char& c : line) {
    if (is_ctl(c) || (!utf8 && is_8bit(c))) c = c == '\t' ? ' ' : '?';
  }
  return line;
}

/// The address that the sender used: where an alias led is nobody else's business.
const std::string& shown_address(const store::QueuedRecipient& recipient) {
  return recipient.original.empty() ? recipient.address : recipient.original;
}

std::string_view class_of(ReportAction action) {
  if (action == ReportAction::failed) return "5";
  return action == ReportAction::delayed ? "4" : "2";
}

/// RFC 3464 2.3.4; a failure after temporary ones keeps their code, as 4.x.x says what went wrong.
std::string status_of(const Report& report, const ReportedRecipient& reported) {
  if (reported.expired && reported.outcome.status.empty()) return "4.4.7";
  if (!reported.outcome.status.empty()) return reported.outcome.status;
  return fmt::format("{}.0.0", class_of(report.action));
}

std::string human_text(const Report& report, const store::QueuedMessage& original, bool utf8) {
  std::string text = fmt::format("This is the mail server {}.\r\n\r\n{}", report.hostname, opening_of(report));
  for (const ReportedRecipient& reported : report.recipients) {
    const Outcome& outcome = reported.outcome;
    text += fmt::format("\r\n<{}>\r\n", safe_line(shown_address(reported.recipient), utf8));
    if (outcome.is_success()) continue;
    if (reported.expired) text += "    It was tried until its time was over. The last attempt ended so:\r\n";
    if (!is_reply(outcome.reply) && outcome.remote.empty()) {
      text += fmt::format("    {}.\r\n", safe_line(outcome.reply, utf8));
    } else {
      text += fmt::format("    {}{} said: {}\r\n", outcome.remote.empty() ? "This server" : "The server ",
                          safe_line(outcome.remote, utf8), safe_line(outcome.reply, utf8));
    }
    text += fmt::format("    {}\r\n", explain_status(outcome.status));
  }
  if (report.action == ReportAction::delayed) {
    text += fmt::format("\r\nIt will be tried until {}.\r\n", format_date_time(report.retry_until));
  }
  text += fmt::format("\r\nThe message was accepted here on {}\r\nand has the queue id {}.\r\n",
                      format_date_time(original.accepted), store::queue_id_text(original.id));
  return text;
}

/// RFC 3464 2.2.4: the server that the message came from; empty where a user or a program of this machine sent it.
std::string received_from(const store::QueuedMessage& original) {
  size_t address = original.client.find(" [");
  if (address == std::string::npos || !original.authenticated_as.empty()) return {};
  return fmt::format("Received-From-MTA: dns; {} ({})\r\n", safe_line(original.client.substr(0, address), false),
                     safe_line(original.client.substr(address + 1), false));
}

std::string machine_text(const Report& report, const store::QueuedMessage& original, bool utf8) {
  std::string text;
  if (!original.envid.empty()) {
    text += fmt::format("Original-Envelope-Id: {}\r\n", safe_line(smtp::xtext_encode(original.envid), false));
  }
  text += fmt::format("Reporting-MTA: dns; {}\r\n{}X-Queue-Id: {}\r\nArrival-Date: {}\r\n", report.hostname,
                      received_from(original), store::queue_id_text(original.id), format_date_time(original.accepted));
  std::string_view type = utf8 ? "utf-8" : "rfc822";
  for (const ReportedRecipient& reported : report.recipients) {
    const Outcome& outcome = reported.outcome;
    text += "\r\n";
    if (!reported.recipient.orcpt.empty()) {
      text += fmt::format("Original-Recipient: {}\r\n", safe_line(reported.recipient.orcpt, utf8));
    }
    text += fmt::format("Final-Recipient: {}; {}\r\nAction: {}\r\nStatus: {}\r\n", type,
                        safe_line(shown_address(reported.recipient), utf8), action_word(report.action),
                        safe_line(status_of(report, reported), false));
    if (!outcome.remote.empty()) {
      std::string_view host = std::string_view(outcome.remote).substr(0, outcome.remote.find(' '));
      text += fmt::format("Remote-MTA: dns; {}\r\n", safe_line(host, utf8));
    }
    if (!outcome.reply.empty() && !outcome.is_success()) {
      // RFC 3464 2.3.6: "smtp" is for what an SMTP server said.
      text += fmt::format("Diagnostic-Code: {}; {}\r\n", is_reply(outcome.reply) ? "smtp" : "x-postrider",
                          safe_line(outcome.reply, utf8));
    }
    text += fmt::format("Last-Attempt-Date: {}\r\n", format_date_time(report.now));
    if (report.action == ReportAction::delayed) {
      text += fmt::format("Will-Retry-Until: {}\r\n", format_date_time(report.retry_until));
    }
  }
  return text;
}

/// What of the message goes back with the report.
struct Returned {
  bool whole = false;
  std::string text;
};

std::string read_up_to(const store::Spool& body, size_t limit) {
  std::string text;
  body.read([&](std::string_view piece) { text += piece.substr(0, limit - std::min(limit, text.size())); });
  return text;
}

/// RFC 3461 4.3: RET counts for failures; other reports bring the header. What is not text is not given back whole.
Returned returned_part(const Report& report, const store::QueuedMessage& original) {
  if (original.body == nullptr) return {};
  bool failed = report.action == ReportAction::failed;
  if (failed && original.ret != "HDRS" && !original.binary && original.body->size() <= kMaxReturnedMessage) {
    return {true, read_up_to(*original.body, kMaxReturnedMessage)};
  }
  std::string text = read_up_to(*original.body, kMaxReturnedHeader);
  text.resize(header_block_size(text));
  return {false, text};
}

std::string head_of(const Report& report, const store::QueuedMessage& original, std::string_view boundary,
                    bool eight_bit) {
  std::string head = fmt::format(
      "From: Mail Delivery System <mailer-daemon@{0}>\r\nTo: <{1}>\r\nSubject: {2}\r\nDate: {3}\r\n"
      "Message-ID: {4}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
      report.hostname, report.to, subject_of(report), format_date_time(report.now), report_message_id(report));
  if (original.body != nullptr) {
    // The report stands beside its message in a mail program that shows threads.
    auto message_id = find_header(read_up_to(*original.body, kMaxReturnedHeader), "Message-ID");
    if (message_id && message_id->size() <= 250 && !has_8bit(*message_id)) {
      head += fmt::format("In-Reply-To: {0}\r\nReferences: {0}\r\n", *message_id);
    }
  }
  head += fmt::format("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{}\"\r\n{}\r\n",
                      boundary, eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
  return head;
}

}  // namespace

std::string report_message_id(const Report& report) {
  return fmt::format("<{}.report@{}>", report.id, report.hostname);
}

std::string_view explain_status(std::string_view status) {
  size_t dot = status.find('.');
  std::string_view detail = dot == std::string_view::npos ? std::string_view() : status.substr(dot + 1);
  for (const Explanation& explanation : kExplanations) {
    bool group = explanation.status.empty() || explanation.status.back() == '.';
    if (group ? detail.starts_with(explanation.status) : detail == explanation.status) return explanation.text;
  }
  return std::end(kExplanations)[-1].text;
}

bool wants_report(ReportAction action, const store::QueuedMessage& message, const store::QueuedRecipient& recipient) {
  if (message.reverse_path.empty() || (recipient.notify & store::kNotifyNever) != 0) return false;
  bool asked = recipient.notify != store::kNotifyDefault;
  switch (action) {
    case ReportAction::failed:
      return !asked || (recipient.notify & store::kNotifyFailure) != 0;
    case ReportAction::delayed:
      return !asked || (recipient.notify & store::kNotifyDelay) != 0;
    default:
      return (recipient.notify & store::kNotifySuccess) != 0;
  }
}

std::string format_report(const Report& report, const store::QueuedMessage& original) {
  bool utf8 = original.smtputf8;
  Returned returned = returned_part(report, original);
  bool eight_bit = utf8 || has_8bit(returned.text);
  std::string encoding = eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "";
  std::string boundary = fmt::format("=_{}_{}", report.id, store::queue_id_text(original.id));
  std::string text = head_of(report, original, boundary, eight_bit);
  text += fmt::format("--{}\r\nContent-Type: text/plain; charset={}\r\n{}\r\n{}", boundary, utf8 ? "utf-8" : "us-ascii",
                      utf8 ? encoding : "", human_text(report, original, utf8));
  text += fmt::format("\r\n--{}\r\nContent-Type: message/{}delivery-status\r\n{}\r\n{}", boundary,
                      utf8 ? "global-" : "", utf8 ? encoding : "", machine_text(report, original, utf8));
  if (!returned.text.empty()) {
    std::string_view type = returned.whole ? (utf8 ? "message/global" : "message/rfc822")
                                           : (utf8 ? "message/global-headers" : "text/rfc822-headers");
    text += fmt::format("\r\n--{}\r\nContent-Type: {}\r\n{}\r\n{}", boundary, type,
                        has_8bit(returned.text) ? encoding : "", returned.text);
  }
  text += fmt::format("\r\n--{}--\r\n", boundary);
  return text;
}

}  // namespace postrider
