// SMTP command lines: every parser takes every argument.
#include <cstdlib>

#include "common/smtp/command.h"

using namespace postrider;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const smtp::CommandLine command = smtp::split_command(line);
  if (command.argument.size() > line.size()) std::abort();
  smtp::parse_helo(command.argument);
  smtp::parse_mail(command.argument, true);
  smtp::parse_mail(command.argument, false);
  smtp::parse_bdat(command.argument);
  if (const auto burl = smtp::parse_burl(command.argument); burl && burl->url.size() > line.size()) std::abort();
  smtp::parse_auth(command.argument);
  for (const bool smtputf8 : {false, true}) {
    const auto rcpt = smtp::parse_rcpt(command.argument, smtputf8);
    if (rcpt && !smtputf8 && rcpt->forward_path.needs_utf8()) std::abort();
  }
  return 0;
}
