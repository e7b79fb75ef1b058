#include "mailctl/sendmail/arguments.h"

#include <fmt/format.h>

#include <string_view>

#include "common/base/ascii.h"
#include "common/mail/drop_file.h"

namespace postrider::sendmail {
namespace {

/// Options with a value, which may stand in the next argument.
constexpr std::string_view kWithValue = "fFrNRVBCDdhLoOpXA";
/// Those of them whose value is always in the same argument.
constexpr std::string_view kValueAttached = "do";

Result<void> set_mode(Arguments& parsed, std::string_view mode) {
  if (mode == "m" || mode.empty()) {
    parsed.mode = Mode::deliver;
  } else if (mode == "s") {
    parsed.mode = Mode::smtp;
  } else if (mode == "p") {
    parsed.mode = Mode::list_queue;
  } else if (mode == "i") {
    parsed.mode = Mode::new_aliases;
  } else if (mode == "d" || mode == "D") {
    return failure("This command is no server: mta takes mail from the network, and the service manager starts it.");
  } else {
    return failure(fmt::format("-b{} is nothing that this sendmail does; there are -bm, -bs, -bp and -bi.", mode));
  }
  return {};
}

Result<void> take(Arguments& parsed, char option, const std::string& value) {
  switch (option) {
    case 'f':
    case 'r':
      parsed.sender = value == "<>" ? std::string() : value;
      if (parsed.sender->size() > 2 && parsed.sender->front() == '<' && parsed.sender->back() == '>') {
        parsed.sender = parsed.sender->substr(1, parsed.sender->size() - 2);
      }
      break;
    case 'F':
      parsed.full_name = value;
      break;
    case 'N':
      if (!parse_notify(value)) return failure("-N takes never, or success, failure and delay, divided by commas.");
      parsed.notify = lower(value);
      break;
    case 'R':
      if (!iequals(value, "full") && !iequals(value, "hdrs")) return failure("-R takes full or hdrs.");
      parsed.ret = upper(value);
      break;
    case 'V':
      parsed.envid = value;
      break;
    case 'o':
      if (value == "i" || value == "IgnoreDots") parsed.dots_are_text = true;
      break;
    case 'O':
      if (istarts_with(value, "IgnoreDots=t")) parsed.dots_are_text = true;
      break;
    default:
      break;  // what other systems have and nothing depends on here
  }
  return {};
}

}  // namespace

Result<Arguments> parse_arguments(const std::string& program, const std::vector<std::string>& arguments) {
  Arguments parsed;
  std::string_view name = std::string_view(program).substr(program.rfind('/') + 1);
  if (name == "mailq") parsed.mode = Mode::list_queue;
  if (name == "newaliases") parsed.mode = Mode::new_aliases;
  size_t i = 0;
  for (; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      ++i;
      break;
    }
    if (argument == "--help") {
      parsed.mode = Mode::help;
      return parsed;
    }
    if (argument.size() < 2 || argument[0] != '-') break;
    char option = argument[1];
    std::string value = argument.substr(2);
    if (option == 'b') {
      if (auto set = set_mode(parsed, value); !set) return tl::unexpected(set.error());
    } else if (option == 'q') {
      parsed.mode = Mode::flush_queue;  // -q, -qR..., -q30m: one way or another, what waits is tried
    } else if (kWithValue.find(option) != std::string_view::npos) {
      if (value.empty() && kValueAttached.find(option) == std::string_view::npos) {
        if (++i >= arguments.size()) return failure(fmt::format("-{} needs a value.", option));
        value = arguments[i];
      }
      if (auto taken = take(parsed, option, value); !taken) return tl::unexpected(taken.error());
    } else {
      for (char flag : argument.substr(1)) {
        if (flag == 't') {
          parsed.recipients_from_header = true;
        } else if (flag == 'i') {
          parsed.dots_are_text = true;
        } else if (std::string_view("vnmUGsexE").find(flag) == std::string_view::npos) {
          return failure(fmt::format("-{} is no option; `sendmail --help` says which there are.", flag));
        }
      }
    }
  }
  parsed.recipients.assign(arguments.begin() + static_cast<std::ptrdiff_t>(std::min(i, arguments.size())),
                           arguments.end());
  return parsed;
}

}  // namespace postrider::sendmail
