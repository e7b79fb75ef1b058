#include "common/smtp/dot_codec.h"

#include <cstring>

namespace postrider::smtp {

// Text is copied up to each CR that CRLF does not follow at once; memchr does the searching. A CR is written when it is
// known what follows it.
size_t DotDecoder::feed(std::string_view input, std::string& out) {
  size_t at = 0;
  while (at < input.size() && state_ != State::ended) {
    const char c = input[at];
    switch (state_) {
      case State::line_start:
        if (c == '.') {
          state_ = State::dot;
          ++at;
          break;
        }
        state_ = State::text;
        [[fallthrough]];
      case State::text:
        at += take_text(input.substr(at), out);
        break;
      case State::cr:
        out += '\r';
        count(1);
        if (c == '\n') {
          out += '\n';
          count(1);
          length_ = 0;
          state_ = State::line_start;
          ++at;
        } else {
          bare_line_end_ = true;
          state_ = State::text;
        }
        break;
      case State::dot:  // that dot is not part of the text
        if (c == '\r') {
          state_ = State::dot_cr;
          ++at;
        } else {
          state_ = State::text;
        }
        break;
      case State::dot_cr:
        if (c == '\n') {
          state_ = State::ended;
          ++at;
        } else {
          state_ = State::cr;
        }
        break;
      case State::ended:
        break;
    }
  }
  return at;
}

// Takes whole lines while they are well-formed, and stops where the state machine has to look: at a dot that begins a
// line, at a CR that is last in the input or bare.
size_t DotDecoder::take_text(std::string_view input, std::string& out) {
  const char* const begin = input.data();
  const char* const end = begin + input.size();
  const char* line = begin;
  while (line < end) {
    const auto* lf = static_cast<const char*>(std::memchr(line, '\n', static_cast<size_t>(end - line)));
    const char* const stop = lf != nullptr ? lf : end;
    const auto* cr = static_cast<const char*>(std::memchr(line, '\r', static_cast<size_t>(stop - line)));
    if (cr == nullptr) {
      count(static_cast<size_t>(stop - line));
      line = stop;
      if (lf == nullptr) break;
      bare_line_end_ = true;  // a bare LF is text: it begins no line
      count(1);
      ++line;
      continue;
    }
    if (cr + 1 != lf) {
      count(static_cast<size_t>(cr - line));
      out.append(begin, cr);
      state_ = State::cr;
      return static_cast<size_t>(cr + 1 - begin);
    }
    count(static_cast<size_t>(lf + 1 - line));
    length_ = 0;
    line = lf + 1;
    if (line == end || *line == '.') {
      state_ = State::line_start;
      break;
    }
  }
  out.append(begin, line);
  return static_cast<size_t>(line - begin);
}

void LineEndScanner::feed(std::string_view input) {
  const char* at = input.data();
  const char* const end = at + input.size();
  if (after_cr_ && at < end) {
    after_cr_ = false;
    if (*at == '\n') {
      ++at;
    } else {
      bare_line_end_ = true;
    }
  }
  while (at < end && !bare_line_end_) {
    const auto* lf = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    const char* const stop = lf != nullptr ? lf : end;
    const auto* cr = static_cast<const char*>(std::memchr(at, '\r', static_cast<size_t>(stop - at)));
    if (lf == nullptr && cr != nullptr && cr + 1 == end) {
      after_cr_ = true;
      return;
    }
    if ((lf == nullptr && cr != nullptr) || (lf != nullptr && (cr == nullptr || cr + 1 != lf))) bare_line_end_ = true;
    at = lf != nullptr ? lf + 1 : end;
  }
}

void DotEncoder::feed(std::string_view input, std::string& out) {
  const char* at = input.data();
  const char* const end = at + input.size();
  while (at < end) {
    if (after_cr_) {  // CR, CRLF: one line end
      after_cr_ = false;
      out += "\r\n";
      line_start_ = true;
      if (*at == '\n') {
        ++at;
        continue;
      }
    }
    if (*at == '\n') {
      out += "\r\n";
      line_start_ = true;
      ++at;
      continue;
    }
    if (*at == '\r') {
      after_cr_ = true;
      ++at;
      continue;
    }
    if (line_start_ && *at == '.') out += '.';
    line_start_ = false;
    const auto size = static_cast<size_t>(end - at);
    const auto* lf = static_cast<const char*>(std::memchr(at, '\n', size));
    const char* stop = lf != nullptr ? lf : end;
    const auto* cr = static_cast<const char*>(std::memchr(at, '\r', static_cast<size_t>(stop - at)));
    if (cr != nullptr) stop = cr;
    out.append(at, stop);
    at = stop;
  }
}

void DotEncoder::finish(std::string& out) {
  if (after_cr_ || !line_start_) out += "\r\n";
  out += ".\r\n";
  *this = DotEncoder();
}

}  // namespace postrider::smtp
