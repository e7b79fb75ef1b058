#include "imapd/proto/list_pattern.h"

#include "common/base/ascii.h"
#include "imapd/proto/mailbox_name.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kInbox = "INBOX";

/// Octets of name that are compared without regard to case: the special name INBOX.
size_t folded_octets(std::string_view name) {
  bool inbox =
      name.substr(0, kInbox.size()) == kInbox && (name.size() == kInbox.size() || name[kInbox.size()] == kDelimiter);
  return inbox ? kInbox.size() : 0;
}

}  // namespace

ListPattern::ListPattern(std::string_view reference, std::string_view pattern) {
  std::string whole(pattern.empty() || pattern.front() != kDelimiter ? reference : std::string_view());
  whole += pattern;
  for (char c : whole) {
    bool wild = c == '*' || c == '%';
    if (wild && !pattern_.empty() && (pattern_.back() == '*' || pattern_.back() == c)) continue;
    if (c == '*') {
      while (!pattern_.empty() && pattern_.back() == '%') pattern_.pop_back();  // "%*" says no more than "*"
      if (!pattern_.empty() && pattern_.back() == '*') continue;
    }
    pattern_.push_back(c);
  }
}

/// Simulates the pattern as an automaton: state i means that the first i octets of the pattern are matched.
bool ListPattern::matches(std::string_view name) const {
  if (pattern_ == "*") return true;
  if (pattern_ == "%") return name.find(kDelimiter) == std::string_view::npos;
  size_t folded = folded_octets(name);
  std::vector<char> now(pattern_.size() + 1), next(pattern_.size() + 1);
  auto wild = [this](size_t i) { return i < pattern_.size() && (pattern_[i] == '*' || pattern_[i] == '%'); };
  auto enter = [&wild](std::vector<char>& states, size_t i) {
    for (states[i] = 1; wild(i); states[++i] = 1) {
    }
  };
  enter(now, 0);
  for (size_t at = 0; at < name.size(); ++at) {
    char c = at < folded ? to_lower(name[at]) : name[at];
    bool alive = false;
    next.assign(next.size(), 0);
    for (size_t i = 0; i < pattern_.size(); ++i) {
      if (!now[i]) continue;
      char p = pattern_[i];
      if (p == '*' || (p == '%' && name[at] != kDelimiter)) {
        enter(next, i);
      } else if (p != '%' && (at < folded ? to_lower(p) : p) == c) {
        enter(next, i + 1);
      } else {
        continue;
      }
      alive = true;
    }
    if (!alive) return false;
    now.swap(next);
  }
  return now[pattern_.size()] != 0;
}

}  // namespace postrider::imap
