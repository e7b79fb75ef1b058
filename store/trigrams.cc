#include "store/trigrams.h"

#include <algorithm>
#include <array>

namespace postrider::store {
namespace {

constexpr size_t kSpace = size_t{1} << 24;  // of trigrams
// Each narrows what has to be looked at and costs a list to be read; more than these seldom narrow it further.
constexpr size_t kMaxRequired = 8;

void append_name(std::string& out, uint32_t trigram) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
  for (int shift = 20; shift >= 0; shift -= 5) out += kDigits[trigram >> shift & 31];
}

uint32_t trigram_at(std::string_view text, size_t at) {
  auto octet = [&](size_t i) { return uint32_t{static_cast<unsigned char>(text[at + i])}; };
  return octet(0) << 16 | octet(1) << 8 | octet(2);
}

}  // namespace

TrigramSet::TrigramSet() : seen_(kSpace / 64) {}

void TrigramSet::feed(std::string_view folded) {
  for (char c : folded) {
    const uint32_t octet = static_cast<unsigned char>(c);
    const uint32_t trigram = (window_ & 0xffff) << 8 | octet;
    const uint32_t missing = window_ >> 16;
    window_ = (missing > 0 ? missing - 1 : 0) << 16 | (trigram & 0xffff);
    if (missing > 0) continue;
    uint64_t& word = seen_[trigram / 64];
    const uint64_t bit = uint64_t{1} << trigram % 64;
    if ((word & bit) != 0) continue;
    if (found_.size() == kMaxTrigrams) {
      overflowed_ = true;
      return;
    }
    word |= bit;
    found_.push_back(trigram);
  }
}

void TrigramSet::clear() {
  for (uint32_t trigram : found_) seen_[trigram / 64] = 0;
  found_.clear();
  window_ = kNothing;
  overflowed_ = false;
}

void TrigramSet::append_names(std::string& out) const {
  if (overflowed_) {
    out += kEveryName;
    return;
  }
  for (uint32_t trigram : found_) {
    append_name(out, trigram);
    out += ' ';
  }
}

std::vector<std::string> required_trigrams(std::string_view folded) {
  std::vector<std::string> names;
  if (folded.size() < 3) return names;
  const size_t last = folded.size() - 3;
  const size_t count = std::min(last + 1, kMaxRequired);
  for (size_t i = 0; i < count; ++i) {
    std::string name;
    append_name(name, trigram_at(folded, count == 1 ? 0 : i * last / (count - 1)));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace postrider::store
