#include "common/mailauth/dkim_canon.h"

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"

namespace postrider::dkim {
namespace {

constexpr size_t kPortion = 16 << 10;  // octets gathered before they are passed on

std::string relaxed_field(std::string_view raw) {
  const size_t colon = std::min(raw.find(':'), raw.size());
  std::string_view name = raw.substr(0, colon);
  while (!name.empty() && is_wsp(name.back())) name.remove_suffix(1);
  std::string out = lower(name);
  out += ':';
  const size_t begin = out.size();
  bool blank = false;
  for (char c : raw.substr(std::min(colon + 1, raw.size()))) {
    if (c == '\r' || c == '\n') continue;
    if (is_wsp(c)) {
      blank = true;
      continue;
    }
    if (blank && out.size() > begin) out += ' ';
    blank = false;
    out += c;
  }
  out += "\r\n";
  return out;
}

/// Octets before the first blank or CR.
size_t plain_size(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && text[at] != ' ' && text[at] != '\t' && text[at] != '\r') ++at;
  return at;
}

}  // namespace

std::string canonical_field(std::string_view raw, Canon canon) {
  if (canon == Canon::relaxed) return relaxed_field(raw);
  std::string out(raw);
  if (!out.ends_with("\r\n")) out += "\r\n";
  return out;
}

void BodyCanonicalizer::pass_on(const Sink& sink) {
  if (out_.empty()) return;
  sink(out_);
  out_.clear();
}

void BodyCanonicalizer::put(std::string_view text, const Sink& sink) {
  out_ += text;
  written_ = true;
  if (out_.size() >= kPortion) pass_on(sink);
}

/// Something other than line ends and blanks: what was held back counts after all.
void BodyCanonicalizer::content(std::string_view text, const Sink& sink) {
  for (; lines_ > 0; --lines_) put("\r\n", sink);
  if (blank_) put(" ", sink);
  blank_ = false;
  put(text, sink);
}

void BodyCanonicalizer::feed(std::string_view piece, const Sink& sink) {
  while (!piece.empty()) {
    if (cr_) {
      cr_ = false;
      if (piece.front() == '\n') {
        blank_ = false;
        ++lines_;
        piece.remove_prefix(1);
        continue;
      }
      content("\r", sink);
    }
    if (piece.front() == '\r') {
      cr_ = true;
      piece.remove_prefix(1);
    } else if (canon_ == Canon::relaxed && is_wsp(piece.front())) {
      blank_ = true;
      piece.remove_prefix(1);
    } else {
      const size_t size = canon_ == Canon::relaxed ? plain_size(piece) : std::min(piece.find('\r'), piece.size());
      content(piece.substr(0, size), sink);
      piece.remove_prefix(size);
    }
  }
  pass_on(sink);
}

/// One line end closes the body (3.4.3); a relaxed body of nothing but blanks and line ends is empty (3.4.4).
void BodyCanonicalizer::finish(const Sink& sink) {
  if (std::exchange(cr_, false)) content("\r", sink);
  if (canon_ == Canon::simple || written_) put("\r\n", sink);
  pass_on(sink);
}

}  // namespace postrider::dkim
