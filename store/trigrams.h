// Which runs of three octets occur in a text: what the search index is made of.
//
// Octets, not characters: a substring is found by octets, any text can be indexed, and one Chinese character is as good
// as three Latin ones. A run is named by five letters and digits, so that the index needs no tokenizer of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postrider::store {

constexpr size_t kMaxTrigrams = 65'536;  // different ones of one message; one with more is looked at by every search

/// The different trigrams of one message. Memory is about 2 MiB, whatever it reads, so one is used for many messages.
class TrigramSet {
 public:
  TrigramSet();

  /// Another text begins: no trigram reaches into it from what was read before.
  void begin_text() { window_ = kNothing; }
  /// A piece of a text, as it is compared (fold_for_search).
  void feed(std::string_view folded);
  void clear();
  /// More than kMaxTrigrams: what it holds is not all.
  bool overflowed() const { return overflowed_; }
  bool empty() const { return found_.empty(); }
  /// Their names, each with a blank behind it; kEveryName where there are too many.
  void append_names(std::string& out) const;

 private:
  // The last two octets; bit 16 and up: how many octets are missing yet.
  static constexpr uint32_t kNothing = 2U << 16;
  std::vector<uint64_t> seen_;  // a bit for each of the 2^24
  std::vector<uint32_t> found_;
  uint32_t window_ = kNothing;
  bool overflowed_ = false;
};

/// Stands in the index for a message that may hold anything; no trigram's name.
constexpr std::string_view kEveryName = "zzzzz";

/// The names of trigrams that a text with this substring must have: some of them, spread over it, none twice. Empty for
/// fewer than three octets.
std::vector<std::string> required_trigrams(std::string_view folded);

}  // namespace postrider::store
