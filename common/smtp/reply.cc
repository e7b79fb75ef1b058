#include "common/smtp/reply.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/format.h"
#include "common/base/number.h"

namespace postrider::smtp {
namespace {

constexpr size_t kMaxReplyLine = 512;  // RFC 5321 4.5.3.1.5, with CRLF
constexpr int kMaxReplyLines = 100;    // of a text that somebody else wrote: clients have a limit, too

void append_line(std::string& out, int code, char separator, status::Code status, std::string_view line) {
  const size_t begin = out.size();
  append_format(out, "{:03}{}", code, separator);
  if (!status.empty()) {
    out += status;
    out += ' ';
  }
  const size_t room = kMaxReplyLine - 2 - (out.size() - begin);
  const size_t text = out.size();
  out += line.substr(0, room);
  for (size_t at = text; at < out.size(); ++at) {
    if (is_ctl(out[at])) out[at] = '?';
  }
  out += "\r\n";
}

/// Takes "5.1.1 " off the front of a line, if its class fits the reply code (RFC 2034 section 4).
std::string take_status(std::string& line, int code) {
  size_t at = 0;
  const auto digits = [&](size_t most) {
    size_t count = 0;
    while (count < most && at < line.size() && is_digit(line[at])) ++at, ++count;
    return count > 0;
  };
  const auto dot = [&] { return at < line.size() && line[at++] == '.'; };
  if (!(digits(1) && dot() && digits(3) && dot() && digits(3))) return {};
  if (at < line.size() && line[at] != ' ') return {};
  if (line[0] - '0' != code / 100) return {};
  std::string status = line.substr(0, at);
  line.erase(0, std::min(line.size(), at + 1));
  return status;
}

}  // namespace

void append_reply(std::string& out, const Reply& reply) {
  std::string_view rest = reply.text;
  for (int lines = 1; lines < kMaxReplyLines; ++lines) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) break;
    append_line(out, reply.code, '-', reply.status, rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  append_line(out, reply.code, ' ', reply.status, rest.substr(0, rest.find('\n')));
}

void append_reply(std::string& out, int code, status::Code status, std::string_view line) {
  append_line(out, code, ' ', status, line);
}

std::string format_reply(const Reply& reply) {
  std::string out;
  append_reply(out, reply);
  return out;
}

std::string ServerReply::to_string() const {
  std::string out = fmt::to_string(code);
  if (!status.empty()) out += ' ' + status;
  for (const auto& line : lines) {
    if (!line.empty()) out += ' ' + line;
  }
  return out;
}

size_t ReplyParser::feed(std::string_view input) {
  size_t taken = 0;
  while (state_ == State::incomplete && taken < input.size()) {
    const std::string_view rest = input.substr(taken);
    const auto end = rest.find('\n');
    const std::string_view piece = rest.substr(0, end);
    if (line_.size() + piece.size() > kMaxLine) {
      state_ = State::malformed;
      return input.size();
    }
    line_ += piece;
    taken += piece.size();
    if (end == std::string_view::npos) break;
    ++taken;
    end_line();
  }
  return taken;
}

void ReplyParser::end_line() {
  if (line_.ends_with('\r')) line_.pop_back();
  std::string line = std::move(line_);
  line_.clear();
  const auto code = parse_number<unsigned>(std::string_view(line).substr(0, 3));
  const bool separated = line.size() == 3 || (line.size() > 3 && (line[3] == ' ' || line[3] == '-'));
  const bool repeats = reply_.lines.empty() || (code && static_cast<int>(*code) == reply_.code);
  if (!code || line.size() < 3 || *code < 200 || *code > 599 || !separated || !repeats ||
      reply_.lines.size() == kMaxLines) {
    state_ = State::malformed;
    return;
  }
  const bool last = line.size() == 3 || line[3] == ' ';
  reply_.code = static_cast<int>(*code);
  line.erase(0, 4);
  // It goes into logs and reports, which are read line by line.
  for (char& c : line) {
    if (is_ctl(c)) c = c == '\t' ? ' ' : '?';
  }
  auto status = take_status(line, reply_.code);
  if (reply_.lines.empty()) reply_.status = std::move(status);
  reply_.lines.push_back(std::move(line));
  if (last) state_ = State::complete;
}

ServerReply ReplyParser::take() {
  state_ = State::incomplete;
  ServerReply taken = std::move(reply_);
  reply_ = ServerReply();
  return taken;
}

}  // namespace postrider::smtp
