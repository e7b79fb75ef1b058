#include "common/smtp/command.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/base/utf8.h"

namespace postrider::smtp {
namespace {

constexpr size_t kMaxHelo = 255;

constexpr std::array<std::string_view, kVerbs> kVerbNames = {"HELO", "EHLO",     "MAIL", "RCPT", "DATA", "BDAT",
                                                             "BURL", "RSET",     "VRFY", "EXPN", "HELP", "NOOP",
                                                             "QUIT", "STARTTLS", "AUTH", ""};

std::string_view without_trailing_blanks(std::string_view text) {
  while (!text.empty() && is_wsp(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view without_leading_blanks(std::string_view text) {
  while (!text.empty() && is_wsp(text.front())) text.remove_prefix(1);
  return text;
}

bool is_helo_octet(char c) {
  return is_alnum(c) || is_8bit(c) || std::string_view(".-_:[]/+~").find(c) != std::string_view::npos;
}

/// What stands behind a blank; blank may be npos.
std::string_view rest_from(std::string_view argument, size_t blank) {
  return blank == std::string_view::npos ? std::string_view() : without_leading_blanks(argument.substr(blank));
}

}  // namespace

std::string_view to_string(Verb verb) {
  return kVerbNames[static_cast<size_t>(verb)];
}

CommandLine split_command(std::string_view line) {
  CommandLine command;
  const auto blank = std::find_if(line.begin(), line.end(), is_wsp);
  const auto word = line.substr(0, static_cast<size_t>(blank - line.begin()));
  for (size_t verb = 0; verb + 1 < kVerbs; ++verb) {
    if (iequals(word, kVerbNames[verb])) command.verb = static_cast<Verb>(verb);
  }
  command.argument = without_trailing_blanks(without_leading_blanks(line.substr(word.size())));
  return command;
}

Parsed<std::string> parse_helo(std::string_view argument) {
  if (argument.empty())
    return refuse(501, status::kBadArguments, "say who you are: a domain or an [address] belongs here");
  const bool literal = argument.front() == '[';
  if (argument.size() > kMaxHelo || !std::all_of(argument.begin(), argument.end(), is_helo_octet) ||
      !is_valid_utf8(argument) || (literal && !is_address_literal(argument))) {
    return refuse(501, status::kBadArguments, "that is neither a domain nor an address literal");
  }
  return std::string(argument);
}

Parsed<BdatCommand> parse_bdat(std::string_view argument) {
  BdatCommand command;
  const auto blank = argument.find(' ');
  const auto size = parse_number(argument.substr(0, blank));
  const auto rest = rest_from(argument, blank);
  if (!size || !(rest.empty() || iequals(rest, "LAST"))) {
    return refuse(501, status::kBadArguments, "BDAT takes the size of the chunk and perhaps LAST");
  }
  command.size = *size;
  command.last = !rest.empty();
  return command;
}

Parsed<BurlCommand> parse_burl(std::string_view argument) {
  BurlCommand command;
  const auto blank = argument.find(' ');
  const auto rest = rest_from(argument, blank);
  command.url = argument.substr(0, blank);
  if (command.url.empty() || !(rest.empty() || iequals(rest, "LAST"))) {
    return refuse(501, status::kBadArguments, "BURL takes a URL and perhaps LAST");
  }
  command.last = !rest.empty();
  return command;
}

Parsed<AuthCommand> parse_auth(std::string_view argument) {
  AuthCommand command;
  const auto blank = argument.find(' ');
  command.mechanism = argument.substr(0, blank);
  if (command.mechanism.empty()) return refuse(501, status::kBadArguments, "AUTH takes the name of a mechanism");
  if (blank != std::string_view::npos) {
    const auto initial = without_leading_blanks(argument.substr(blank));
    if (initial.find(' ') != std::string_view::npos) {
      return refuse(501, status::kBadArguments, "AUTH takes a mechanism and one initial response");
    }
    command.initial_response = initial;
  }
  return command;
}

}  // namespace postrider::smtp
