#include "common/mailauth/srs.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <stdexcept>

#include "common/base/ascii.h"

namespace postrider::srs {
namespace {

// Letters of either case mean the same: some servers change them on the way.
constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr size_t kHashDigits = 6;   // 30 bits: a guess costs a whole RCPT
constexpr size_t kPrefix = 4;       // "SRS0"
constexpr int kDayCount = 32 * 32;  // two digits
constexpr std::string_view kSeparators = "=+-";

int day_of(UnixTime time) {
  return static_cast<int>(time / 86'400 % kDayCount);
}

std::string day_text(int day) {
  return {kDigits[static_cast<size_t>(day / 32)], kDigits[static_cast<size_t>(day % 32)]};
}

std::optional<int> parse_day(std::string_view text) {
  if (text.size() != 2) return std::nullopt;
  const size_t high = kDigits.find(to_upper(text[0])), low = kDigits.find(to_upper(text[1]));
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<int>(high * 32 + low);
}

std::string hash_of(std::string_view key, std::initializer_list<std::string_view> parts) {
  std::string text;
  for (std::string_view part : parts) text += lower(part) + '\0';
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), digest.data(), &size) == nullptr)
    throw std::runtime_error("OpenSSL makes no HMAC");
  std::string hash;
  uint64_t bits = 0;
  for (size_t i = 0; i < 5; ++i) bits = bits << 8 | digest[i];
  for (size_t i = 0; i < kHashDigits; ++i) hash += kDigits[(bits >> (35 - 5 * i)) & 31];
  return hash;
}

bool any_key_made(std::string_view hash, std::span<const std::string> keys,
                  std::initializer_list<std::string_view> parts) {
  const std::string given = upper(hash);
  bool found = false;
  for (const std::string& key : keys) {
    const std::string right = hash_of(key, parts);
    found = found || (given.size() == right.size() && CRYPTO_memcmp(given.data(), right.data(), right.size()) == 0);
  }
  return found;
}

/// "HASH=rest" and so on: what is in front of the next "=", which goes as well.
std::optional<std::string_view> take(std::string_view& text) {
  const size_t end = text.find('=');
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return part;
}

/// "SRS1=hash=domain==rest": rest with the separator that stood behind SRS0.
struct Twice {
  std::string_view hash, domain, rest;
};
std::optional<Twice> parse_twice(std::string_view local_part) {
  local_part.remove_prefix(kPrefix + 1);
  const auto hash = take(local_part);
  const auto domain = hash ? take(local_part) : std::nullopt;
  if (!domain || local_part.size() < 2 || kSeparators.find(local_part[0]) == std::string_view::npos)
    return std::nullopt;
  return Twice{*hash, *domain, local_part};
}

/// Which server rewrote the sender first, and what it wrote behind "SRS0".
std::optional<Twice> forwarded_before(const Address& sender) {
  if (!is_srs(sender.local_part)) return std::nullopt;
  if (sender.local_part[kPrefix - 1] == '1') return parse_twice(sender.local_part);
  return Twice{{}, sender.domain, std::string_view(sender.local_part).substr(kPrefix)};
}

tl::expected<Address, Fault> restore_once(std::string_view local_part, std::span<const std::string> keys,
                                          UnixTime now) {
  local_part.remove_prefix(kPrefix + 1);
  const auto hash = take(local_part);
  const auto day = hash ? take(local_part) : std::nullopt;
  const auto domain = day ? take(local_part) : std::nullopt;
  if (!domain || local_part.empty()) return tl::unexpected(Fault::other_form);
  const auto number = parse_day(*day);
  if (!number || !any_key_made(*hash, keys, {"0", *day, *domain, local_part})) return tl::unexpected(Fault::wrong_hash);
  // One day of grace towards the future: another host of ours may have made it, with another clock.
  const int age = (day_of(now) - *number + 1 + kDayCount) % kDayCount - 1;
  if (age > kValidDays) return tl::unexpected(Fault::expired);
  return Address{std::string(local_part), std::string(*domain)};
}

}  // namespace

bool is_srs(std::string_view local_part) {
  return local_part.size() > kPrefix && (istarts_with(local_part, "SRS0") || istarts_with(local_part, "SRS1")) &&
         kSeparators.find(local_part[kPrefix]) != std::string_view::npos;
}

std::optional<Address> forward(const Address& sender, std::string_view domain, std::string_view key, UnixTime now) {
  Address address{{}, std::string(domain)};
  if (const auto twice = forwarded_before(sender)) {
    address.local_part =
        fmt::format("SRS1={}={}={}", hash_of(key, {"1", twice->domain, twice->rest}), twice->domain, twice->rest);
  } else {
    const std::string day = day_text(day_of(now));
    address.local_part = fmt::format("SRS0={}={}={}={}", hash_of(key, {"0", day, sender.domain, sender.local_part}),
                                     day, sender.domain, sender.local_part);
  }
  if (address.local_part.size() > kMaxLocalPart || address.to_string().size() + 2 > kMaxPath) return std::nullopt;
  return address;
}

tl::expected<Address, Fault> restore(const Address& address, std::span<const std::string> keys, UnixTime now) {
  if (!is_srs(address.local_part)) return tl::unexpected(Fault::other_form);
  if (address.local_part[kPrefix - 1] == '0') return restore_once(address.local_part, keys, now);
  const auto twice = parse_twice(address.local_part);
  if (!twice) return tl::unexpected(Fault::other_form);
  if (!any_key_made(twice->hash, keys, {"1", twice->domain, twice->rest})) return tl::unexpected(Fault::wrong_hash);
  return Address{fmt::format("SRS0{}", twice->rest), std::string(twice->domain)};
}

}  // namespace postrider::srs
