// What a fuzz target holds to be true, and how it takes its input apart.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace postrider::fuzz {

/// Ends the process with a word on what is wrong, so that the input is kept.
inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// The input: the first octets choose, the rest is what a stranger sends.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : text_(reinterpret_cast<const char*>(data), size) {}
  /// 0 at the end. Seeds are text, so digits choose like small numbers.
  unsigned choice(unsigned choices) {
    if (text_.empty()) return 0;
    const unsigned octet = static_cast<unsigned char>(text_.front());
    text_.remove_prefix(1);
    return (octet >= '0' && octet <= '9' ? octet - '0' : octet) % choices;
  }
  /// Up to the next line feed, without it and without a CR before it.
  std::string_view line() {
    const size_t end = text_.find('\n');
    std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
  /// At most that many octets.
  std::string_view take(size_t octets) {
    const std::string_view taken = text_.substr(0, octets);
    text_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() const { return text_; }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

}  // namespace postrider::fuzz
