// Mode::deliver: a message on standard input.
#include <fmt/format.h>
#include <sysexits.h>

#include "common/mail/drop_file.h"
#include "common/mail/header.h"
#include "mailctl/sendmail/drop_writer.h"
#include "mailctl/sendmail/message.h"
#include "mailctl/sendmail/sendmail.h"

namespace postrider::sendmail {
namespace {

int fail(int status, const std::string& message) {
  std::fputs(fmt::format("sendmail: {}\n", message).c_str(), stderr);
  return status;
}

DropEnvelope envelope_of(const Arguments& arguments) {
  DropEnvelope envelope;
  envelope.sender = arguments.sender;
  envelope.full_name = arguments.full_name;
  envelope.notify = arguments.notify;
  envelope.ret = arguments.ret;
  envelope.envid = arguments.envid;
  return envelope;
}

bool is_empty_line(std::string_view line) {
  return line == "\n" || line == "\r\n";
}

}  // namespace

int send(const Arguments& arguments, const Settings& settings, std::FILE* input) {
  DropEnvelope envelope = envelope_of(arguments);
  for (const std::string& recipient : arguments.recipients) add_recipients(recipient, envelope.recipients);
  auto writer = DropWriter::begin(settings.folder, settings.max_message_size);
  if (!writer) return fail(EX_TEMPFAIL, writer.error().message);
  envelope.key = writer->key();

  std::string header;  // with -t: gathered until it is whole
  bool in_header = arguments.recipients_from_header;
  auto write_head = [&]() -> Result<void> {
    in_header = false;
    HeaderOfT read = read_recipients(header);
    // Addresses on the command line too: mail to them as well, as others do it.
    envelope.recipients.insert(envelope.recipients.end(), read.recipients.begin(), read.recipients.end());
    if (envelope.recipients.size() > kMaxDropRecipients) return failure("There are too many recipients.");
    if (envelope.recipients.empty()) return failure("The header names no recipients (To, Cc, Bcc).");
    if (auto written = writer->write(format_drop_envelope(envelope)); !written) return written;
    return writer->write(read.header);
  };
  if (!in_header) {
    if (envelope.recipients.empty()) return fail(EX_USAGE, "Say to whom: sendmail ADDRESS..., or sendmail -t.");
    if (envelope.recipients.size() > kMaxDropRecipients) return fail(EX_USAGE, "There are too many recipients.");
    if (auto written = writer->write(format_drop_envelope(envelope)); !written)
      return fail(EX_IOERR, written.error().message);
  }
  auto read = read_lines(input, !arguments.dots_are_text, [&](std::string_view line) -> Result<void> {
    if (!in_header) return writer->write(line);
    header += line;
    if (header.size() > kMaxReadHeader) return failure("The header of the message is too long.");
    return is_empty_line(line) ? write_head() : Result<void>();
  });
  if (read && in_header) read = write_head();
  if (!read) return fail(EX_DATAERR, read.error().message);
  if (auto committed = writer->commit(); !committed) return fail(EX_TEMPFAIL, committed.error().message);
  return EX_OK;
}

}  // namespace postrider::sendmail
