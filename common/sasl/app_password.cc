#include "common/sasl/app_password.h"

#include "common/base/ascii.h"
#include "common/base/random.h"
#include "common/sasl/password.h"

namespace postrider::sasl {
namespace {

constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";  // RFC 4648 6
constexpr size_t kOctets = 16;
constexpr size_t kLetters = 26;  // of five bits
constexpr size_t kGroup = 6;
constexpr size_t kMaxWritten = 64;

}  // namespace

std::string make_app_password() {
  const std::string octets = random_bytes(kOctets);
  std::string out;
  uint32_t bits = 0;
  int have = 0;
  size_t next = 0;
  for (size_t letter = 0; letter < kLetters; ++letter) {
    if (have < 5) {
      bits = bits << 8 | (next < octets.size() ? static_cast<unsigned char>(octets[next]) : 0u);
      ++next;
      have += 8;
    }
    have -= 5;
    if (letter > 0 && letter % kGroup == 0) out += '-';
    out += kAlphabet[bits >> have & 31];
  }
  return out;
}

std::optional<std::string> app_password_hash(std::string_view password) {
  if (password.size() > kMaxWritten) return std::nullopt;
  std::string letters;
  for (char c : password) {
    if (c == '-' || c == ' ') continue;
    c = to_lower(c);
    if (kAlphabet.find(c) == std::string_view::npos) return std::nullopt;
    letters += c;
  }
  if (letters.size() != kLetters) return std::nullopt;
  return sha256(letters);
}

}  // namespace postrider::sasl
