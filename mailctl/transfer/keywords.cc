#include "mailctl/transfer/keywords.h"

#include <fmt/format.h>

#include "common/base/number.h"
#include "imapd/proto/cursor.h"
#include "mailctl/transfer/names.h"

namespace postrider::mailctl {
namespace {

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

bool is_keyword(std::string_view name) {
  imap::Cursor cursor(name);
  imap::FlagNames flags;
  return cursor.flag(flags) && cursor.at_end() && flags.keywords.size() == 1;
}

std::vector<std::string> parse_keywords_file(std::string_view text) {
  std::vector<std::string> names(kMaxMaildirLetters);
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const size_t blank = line.find(' ');
    const auto number = parse_number<size_t>(line.substr(0, blank));
    if (blank == std::string_view::npos || !number || *number >= names.size()) continue;
    if (is_keyword(line.substr(blank + 1))) names[*number] = line.substr(blank + 1);
  }
  return names;
}

std::string format_keywords_file(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty()) out += fmt::format("{} {}\n", i, names[i]);
  }
  return out;
}

std::vector<std::string> parse_subscriptions(std::string_view text) {
  std::vector<std::string> mailboxes;
  const bool second = text.starts_with("V\t2\n");  // levels parted by tabs
  if (second) take_line(text);
  while (!text.empty()) {
    std::string name(take_line(text));
    if (name.empty()) continue;
    if (second) {
      for (char& c : name) c = c == '\t' ? '.' : c;
    }
    if (name.starts_with("INBOX.")) name.erase(0, 6);  // Courier has all below INBOX
    if (auto mailbox = maildir_mailbox('.' + name)) mailboxes.push_back(std::move(*mailbox));
  }
  return mailboxes;
}

std::string format_subscriptions(const std::vector<std::string>& mailboxes) {
  std::string out;
  for (const std::string& mailbox : mailboxes) {
    out += mailbox == "INBOX" ? mailbox : maildir_folder(mailbox).substr(1);
    out += '\n';
  }
  return out;
}

}  // namespace postrider::mailctl
