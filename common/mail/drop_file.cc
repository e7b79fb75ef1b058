#include "common/mail/drop_file.h"

#include <algorithm>

#include "common/base/ascii.h"

namespace postrider {
namespace {

constexpr std::string_view kFirstLine = "postrider-drop 1\n";

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ' ';
  for (char c : value.substr(0, kMaxDropValue)) out += is_ctl(c) ? ' ' : c;
  out += '\n';
}

bool is_key(std::string_view text) {
  return text.size() >= 16 && text.size() <= 64 && std::all_of(text.begin(), text.end(), is_alnum);
}

Result<void> take(DropEnvelope& envelope, std::string_view name, std::string_view value) {
  if (name == "key") {
    envelope.key = value;
  } else if (name == "sender") {
    envelope.sender = value;
  } else if (name == "name") {
    envelope.full_name = value;
  } else if (name == "to") {
    if (envelope.recipients.size() >= kMaxDropRecipients) return failure("There are too many recipients.");
    envelope.recipients.emplace_back(value);
  } else if (name == "notify") {
    if (!parse_notify(value)) return failure("The value of notify is wrong.");
    envelope.notify = value;
  } else if (name == "ret") {
    if (value != "FULL" && value != "HDRS") return failure("The value of ret is wrong.");
    envelope.ret = value;
  } else if (name == "envid") {
    envelope.envid = value;
  } else {
    return failure("There is a line of an unknown name.");
  }
  return {};
}

}  // namespace

std::string format_drop_envelope(const DropEnvelope& envelope) {
  std::string out(kFirstLine);
  append_line(out, "key", envelope.key);
  if (envelope.sender) append_line(out, "sender", *envelope.sender);
  if (!envelope.full_name.empty()) append_line(out, "name", envelope.full_name);
  if (!envelope.notify.empty()) append_line(out, "notify", envelope.notify);
  if (!envelope.ret.empty()) append_line(out, "ret", envelope.ret);
  if (!envelope.envid.empty()) append_line(out, "envid", envelope.envid);
  for (const std::string& recipient : envelope.recipients) append_line(out, "to", recipient);
  out += '\n';
  return out;
}

Result<DropHead> parse_drop_envelope(std::string_view head) {
  DropHead parsed;
  if (!head.starts_with(kFirstLine)) return failure("It does not begin as a file of the sendmail command does.");
  parsed.size = kFirstLine.size();
  for (;;) {
    size_t end = head.find('\n', parsed.size);
    if (end == std::string_view::npos) return failure("Its envelope has no end.");
    std::string_view line = head.substr(parsed.size, end - parsed.size);
    parsed.size = end + 1;
    if (line.empty()) break;
    if (std::any_of(line.begin(), line.end(), is_ctl)) return failure("There is a control character in its envelope.");
    size_t blank = line.find(' ');
    if (blank == std::string_view::npos || line.size() - blank > kMaxDropValue + 1)
      return failure("A line of its envelope is wrong.");
    if (auto taken = take(parsed.envelope, line.substr(0, blank), line.substr(blank + 1)); !taken) {
      return tl::unexpected(taken.error());
    }
  }
  if (!is_key(parsed.envelope.key)) return failure("It has no key.");
  if (parsed.envelope.recipients.empty()) return failure("It has no recipients.");
  return parsed;
}

std::optional<uint8_t> parse_notify(std::string_view text) {
  constexpr std::string_view kWords[] = {"never", "success", "failure", "delay"};
  uint8_t bits = 0;
  while (true) {
    std::string_view word = text.substr(0, text.find(','));
    auto found = std::find_if(std::begin(kWords), std::end(kWords),
                              [&](std::string_view known) { return iequals(known, word); });
    if (found == std::end(kWords)) return std::nullopt;
    bits |= static_cast<uint8_t>(1U << (found - std::begin(kWords)));
    if (word.size() == text.size()) break;
    text.remove_prefix(word.size() + 1);
  }
  constexpr uint8_t kNever = 1;
  if ((bits & kNever) != 0 && bits != kNever) return std::nullopt;
  return bits;
}

void LineEndNormalizer::feed(std::string_view piece, std::string& out) {
  for (char c : piece) {
    if (c == '\n' && after_cr_) {
      after_cr_ = false;
      continue;  // its CR has ended the line
    }
    after_cr_ = c == '\r';
    if (c == '\r' || c == '\n') {
      out += "\r\n";
      in_line_ = false;
    } else {
      out += c;
      in_line_ = true;
    }
  }
}

void LineEndNormalizer::finish(std::string& out) {
  if (in_line_) out += "\r\n";
  in_line_ = after_cr_ = false;
}

}  // namespace postrider
