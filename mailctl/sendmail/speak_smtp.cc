// Mode::smtp (-bs): a program speaks SMTP over standard input and output. The same grammar as mta's, and what a message
// becomes is the same as without -bs: a file in the drop folder.
#include <fmt/format.h>
#include <sysexits.h>

#include <memory>
#include <optional>

#include "common/mail/drop_file.h"
#include "common/smtp/command.h"
#include "common/smtp/status.h"
#include "mailctl/sendmail/drop_writer.h"
#include "mailctl/sendmail/message.h"
#include "mailctl/sendmail/sendmail.h"

namespace postrider::sendmail {
namespace {

namespace status = smtp::status;
using smtp::Reply;
using smtp::Verb;

constexpr size_t kMaxCommandLine = 4'096;

class Conversation {
 public:
  Conversation(const Arguments& arguments, const Settings& settings, std::FILE* input)
      : arguments_(arguments), settings_(settings), input_(input) {}

  bool ended() const { return ended_; }
  Reply greeting() const { return {220, status::kNone, settings_.hostname + " ESMTP"}; }

  /// The reply to one line.
  Reply answer(std::string_view line, std::FILE* output) {
    if (line.size() > kMaxCommandLine) return {500, status::kBadArguments, "the line is too long"};
    smtp::CommandLine command = smtp::split_command(line);
    switch (command.verb) {
      case Verb::ehlo:
        return {250, status::kNone, settings_.hostname + "\n8BITMIME\nENHANCEDSTATUSCODES\nSMTPUTF8"};
      case Verb::helo:
        return {250, status::kNone, settings_.hostname};
      case Verb::mail:
        return mail(command.argument);
      case Verb::rcpt:
        return rcpt(command.argument);
      case Verb::data:
        return data(output);
      case Verb::rset:
        envelope_.reset();
        return {250, status::kOk, "forgotten"};
      case Verb::noop:
        return {250, status::kOk, "nothing done"};
      case Verb::quit:
        ended_ = true;
        return {221, status::kOk, "good-bye"};
      default:
        return {502, status::kNone, "that is no command here"};
    }
  }

 private:
  Reply mail(std::string_view argument) {
    auto parsed = smtp::parse_mail(argument, false);
    if (!parsed) return parsed.error();
    envelope_.emplace();
    envelope_->full_name = arguments_.full_name;
    envelope_->sender = parsed->reverse_path ? parsed->reverse_path->to_string() : std::string();
    utf8_ = parsed->smtputf8;
    return {250, status::kSenderOk, "sender OK"};
  }

  Reply rcpt(std::string_view argument) {
    if (!envelope_) return {503, status::kBadSequence, "MAIL comes first"};
    auto parsed = smtp::parse_rcpt(argument, utf8_);
    if (!parsed) return parsed.error();
    if (envelope_->recipients.size() >= kMaxDropRecipients)
      return {452, status::kTooManyRecipients, "too many recipients"};
    envelope_->recipients.push_back(parsed->forward_path.to_string());
    return {250, status::kRecipientOk, "recipient OK"};
  }

  Reply data(std::FILE* output) {
    if (!envelope_ || envelope_->recipients.empty()) return {503, status::kBadSequence, "MAIL and RCPT come first"};
    auto writer = DropWriter::begin(settings_.folder, settings_.max_message_size);
    if (!writer) return {451, status::kSystemTrouble, writer.error().message};
    std::fputs("354 send the message, and a dot on a line of its own to end it\r\n", output);
    std::fflush(output);
    envelope_->key = writer->key();
    Result<void> written = writer->write(format_drop_envelope(*envelope_));
    envelope_.reset();
    // Every line is read, also where one could not be written.
    bool whole = false;
    auto read = read_lines(input_, false, [&](std::string_view line) -> Result<void> {
      whole = line == ".\r\n" || line == ".\n";
      if (whole) return failure("the end");
      if (line.starts_with('.')) line.remove_prefix(1);
      if (written) written = writer->write(line);
      return {};
    });
    if (!whole) {
      ended_ = true;  // the program went away in the middle: nothing was promised
      return {451, status::kSystemTrouble, "the message has no end"};
    }
    if (written) written = writer->commit();
    if (!written) return {451, status::kSystemTrouble, written.error().message};
    return {250, status::kOk, "left for delivery"};
  }

  const Arguments& arguments_;
  const Settings& settings_;
  std::FILE* input_;
  std::optional<DropEnvelope> envelope_;
  bool utf8_ = false;
  bool ended_ = false;
};

}  // namespace

int speak_smtp(const Arguments& arguments, const Settings& settings, std::FILE* input, std::FILE* output) {
  Conversation conversation(arguments, settings, input);
  auto say = [&](const Reply& reply) {
    std::fputs(smtp::format_reply(reply).c_str(), output);
    std::fflush(output);
  };
  say(conversation.greeting());
  while (!conversation.ended()) {
    bool got = false;
    auto read = read_lines(input, false, [&](std::string_view line) -> Result<void> {
      got = true;
      while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
      say(conversation.answer(line, output));
      return failure("one line at a time");
    });
    if (!got) break;
  }
  return EX_OK;
}

}  // namespace postrider::sendmail
