#include "imapd/proto/framer.h"

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::imap {
namespace {

constexpr size_t kKept = 4 << 10;           // octets of memory kept between commands
constexpr size_t kLongestLiteralHead = 32;  // "~{18446744073709551615+}" and some
constexpr std::string_view kLineTooLong = "The line is too long.";

/// The literal head that ends a line, as it is written; empty when there is none.
std::string_view literal_head(std::string_view line) {
  if (line.empty() || line.back() != '}') return {};
  size_t open = line.rfind('{');
  if (open == std::string_view::npos) return {};
  std::string_view inside = line.substr(open + 1, line.size() - open - 2);
  if (!inside.empty() && inside.back() == '+') inside.remove_suffix(1);
  if (inside.empty() || !std::all_of(inside.begin(), inside.end(), is_digit)) return {};
  if (open > 0 && line[open - 1] == '~') --open;
  return line.substr(open);
}

/// Nothing where the number does not fit.
std::optional<LiteralHead> parse_literal_head(std::string_view raw) {
  LiteralHead head;
  if (raw.front() == '~') {
    head.binary = true;
    raw.remove_prefix(1);
  }
  raw = raw.substr(1, raw.size() - 2);
  if (raw.back() == '+') {
    head.synchronising = false;
    raw.remove_suffix(1);
  }
  auto size = parse_number<uint64_t>(raw);
  if (!size) return std::nullopt;
  head.size = *size;
  return head;
}

constexpr bool is_tag_char(char c) {
  return !is_ctl(c) && !is_8bit(c) && std::string_view(" (){%*\"\\+").find(c) == std::string_view::npos;
}

}  // namespace

void Framer::begin() {
  if (text_.capacity() > kKept) text_ = std::string();
  text_.clear();
  problem_ = {};
  line_start_ = 0;
  delivered_ = false;
  after_message_ = false;
}

Framer::Event Framer::deliver(Event event) {
  delivered_ = true;
  expect_line_ = false;
  return event;
}

void Framer::message_taken() {
  begin();
  after_message_ = true;
}

std::string_view Framer::tag() const {
  std::string_view tag = std::string_view(text_).substr(0, text_.find(' '));
  if (tag.empty() || tag.size() > kMaxTag || !std::all_of(tag.begin(), tag.end(), is_tag_char)) return "*";
  return tag;
}

Framer::Step Framer::next(std::string_view input) {
  if (delivered_) begin();
  size_t used = 0;
  for (;;) {
    if (literal_left_ > 0 && !take_literal(input, used)) return {Event::need_more, used};
    if (!take_line(input, used)) return {Event::need_more, used};
    if (auto event = line_complete()) return {*event, used};
  }
}

bool Framer::take_literal(std::string_view input, size_t& used) {
  size_t count = static_cast<size_t>(std::min<uint64_t>(literal_left_, input.size() - used));
  text_.append(input.substr(used, count));
  used += count;
  literal_left_ -= count;
  line_start_ = text_.size();
  return literal_left_ == 0;
}

bool Framer::take_line(std::string_view input, size_t& used) {
  size_t end = input.find('\n', used);
  bool complete = end != std::string_view::npos;
  std::string_view piece = input.substr(used, complete ? end + 1 - used : std::string_view::npos);
  used += piece.size();
  if (!skipping_ && text_.size() - line_start_ + piece.size() > limits_.line + 2) {
    skipping_ = true;
    skipped_tail_.assign(text_, text_.size() - std::min(text_.size() - line_start_, kLongestLiteralHead));
    text_.resize(std::min(text_.size(), line_start_ + kMaxTag + 1));  // what tag() looks at
    if (text_.empty()) text_.assign(piece.substr(0, kMaxTag + 1));
    problem_ = kLineTooLong;
  }
  if (skipping_) {
    skipped_tail_.append(piece.substr(piece.size() - std::min(piece.size(), kLongestLiteralHead)));
    if (skipped_tail_.size() > kLongestLiteralHead) skipped_tail_.erase(0, skipped_tail_.size() - kLongestLiteralHead);
  } else {
    text_.append(piece);
  }
  return complete;
}

std::optional<Framer::Event> Framer::line_complete() {
  std::string& line = skipping_ ? skipped_tail_ : text_;
  line.pop_back();
  if (!line.empty() && line.back() == '\r' && (skipping_ || line.size() > line_start_)) line.pop_back();
  if (expect_line_) return deliver(std::exchange(skipping_, false) ? Event::bad : Event::line);

  std::string_view raw = literal_head(skipping_ ? std::string_view(line) : std::string_view(line).substr(line_start_));
  if (skipping_) {
    skipping_ = false;
    bool octets_follow = !raw.empty() && raw[raw.size() - 2] == '+';
    return deliver(octets_follow ? Event::fatal : Event::bad);
  }
  if (raw.empty()) return deliver(Event::command);
  auto head = parse_literal_head(raw);
  Event event = literal_announced(head, raw);
  if (event == Event::need_more) return std::nullopt;
  return event;
}

Framer::Event Framer::literal_announced(const std::optional<LiteralHead>& head, std::string_view raw) {
  bool synchronising = raw[raw.size() - 2] != '+';
  if (head && limits_.stream_messages && (after_message_ || is_message_literal())) {
    message_ = *head;
    text_.resize(text_.size() - raw.size());
    return deliver(Event::message);
  }
  if (!head || head->size > limits_.literal || text_.size() + head->size > limits_.command) {
    problem_ = "The literal is too large.";
    return deliver(synchronising ? Event::bad : Event::fatal);
  }
  literal_left_ = head->size;
  text_.append("\r\n");
  line_start_ = text_.size();
  return synchronising ? Event::continuation : Event::need_more;
}

/// In "tag APPEND mailbox ... {n}" every literal but the mailbox is a message; so it is in "tag REPLACE 4 mailbox ...".
bool Framer::is_message_literal() const {
  std::string_view rest = text_;
  rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  auto skip = [&](std::string_view verb) {
    if (!istarts_with(rest, verb)) return false;
    rest.remove_prefix(verb.size());
    return true;
  };
  if (skip(" REPLACE ") || skip(" UID REPLACE ")) {
    rest.remove_prefix(std::min(rest.find(' '), rest.size()));
    if (!skip(" ")) return false;
  } else if (!skip(" APPEND ")) {
    return false;
  }
  return literal_head(rest) != rest;
}

}  // namespace postrider::imap
