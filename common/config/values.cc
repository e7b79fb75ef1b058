#include "common/config/values.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::config {
namespace {

constexpr uint64_t kMaxDuration = uint64_t{100} * 366 * 86'400'000;  // milliseconds
constexpr uint64_t kMaxSize = uint64_t{1} << 62;

struct Unit {
  std::string_view name;
  uint64_t factor;
};
// Largest first, for formatting.
constexpr Unit kDurations[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};
constexpr Unit kSizes[] = {{"TiB", uint64_t{1} << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}};

/// Takes digits, then letters; false where either is missing or the number is too large.
bool take_quantity(std::string_view& text, uint64_t& number, std::string_view& unit) {
  size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  auto value = parse_number(text.substr(0, digits));
  if (!value) return false;
  text.remove_prefix(digits);
  size_t letters = 0;
  while (letters < text.size() && is_alpha(text[letters])) ++letters;
  number = *value;
  unit = text.substr(0, letters);
  text.remove_prefix(letters);
  return true;
}

template <size_t count>
const Unit* find_unit(const Unit (&units)[count], std::string_view name) {
  for (const Unit& unit : units) {
    if (iequals(unit.name, name)) return &unit;
  }
  return nullptr;
}

template <size_t count>
std::string format_in(const Unit (&units)[count], uint64_t value) {
  for (const Unit& unit : units) {
    if (value % unit.factor == 0) return fmt::format("{}{}", value / unit.factor, unit.name);
  }
  return fmt::to_string(value);
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  text = trim(text);
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return std::nullopt;
  uint64_t total = 0;
  while (!text.empty()) {
    uint64_t number = 0;
    std::string_view name;
    if (!take_quantity(text, number, name)) return std::nullopt;
    const Unit* unit = find_unit(kDurations, name);
    if (unit == nullptr || number > kMaxDuration / unit->factor) return std::nullopt;
    total += number * unit->factor;
    if (total > kMaxDuration) return std::nullopt;
  }
  return std::chrono::milliseconds(total);
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() == 0) return "0s";
  return format_in(kDurations, static_cast<uint64_t>(duration.count()));
}

std::optional<uint64_t> parse_size(std::string_view text) {
  text = trim(text);
  uint64_t number = 0;
  std::string_view name;
  if (!take_quantity(text, number, name) || !text.empty()) return std::nullopt;
  const Unit* unit = find_unit(kSizes, name);
  if (unit == nullptr || number > kMaxSize / unit->factor) return std::nullopt;
  return number * unit->factor;
}

std::string format_size(uint64_t octets) {
  return octets == 0 ? "0" : format_in(kSizes, octets);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  text = trim(text);
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return failure(fmt::format("\"{}\" needs a port: write it as host:port.", text));
  std::string_view host = text.substr(0, colon);
  auto port = parse_number<uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) {
    return failure(fmt::format("\"{}\" has no valid port: write it as host:port, with a port from 1 to 65535.", text));
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return failure(
        fmt::format("\"{}\" is ambiguous: write an IPv6 address in brackets, as in [2001:db8::1]:25.", text));
  }
  auto bad = [](char c) { return is_wsp(c) || is_ctl(c); };
  if (host.empty() || std::any_of(host.begin(), host.end(), bad)) {
    return failure(fmt::format("\"{}\" has no valid host: write it as host:port.", text));
  }
  return Endpoint{std::string(host), *port};
}

std::optional<NetworkSet::Bytes> NetworkSet::parse_address(std::string_view text, bool& is_v4) {
  const std::string copy(text);
  Bytes bytes{};
  if (in_addr v4{}; inet_pton(AF_INET, copy.c_str(), &v4) == 1) {
    bytes[10] = bytes[11] = 0xff;
    std::memcpy(&bytes[12], &v4, sizeof v4);
    is_v4 = true;
    return bytes;
  }
  is_v4 = false;
  if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

Result<NetworkSet> NetworkSet::parse(const std::vector<std::string>& networks) {
  NetworkSet set;
  for (const std::string& text : networks) {
    std::string_view address = trim(text);
    size_t slash = address.find('/');
    std::optional<unsigned> bits;
    if (slash != std::string_view::npos) bits = parse_number<unsigned>(address.substr(slash + 1));
    bool is_v4 = false;
    auto bytes = parse_address(address.substr(0, slash), is_v4);
    const unsigned widest = is_v4 ? 32 : 128;
    if (!bytes || (slash != std::string_view::npos && (!bits || *bits > widest))) {
      return failure(fmt::format("\"{}\" is no network: write it as 192.0.2.0/24 or 2001:db8::/32.", text));
    }
    set.networks_.push_back({*bytes, bits.value_or(widest) + (is_v4 ? 96 : 0)});
  }
  return set;
}

bool NetworkSet::contains(std::string_view address) const {
  if (networks_.empty()) return false;
  bool is_v4 = false;
  auto bytes = parse_address(address, is_v4);
  if (!bytes) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    const unsigned whole = network.bits / 8;
    if (std::memcmp(bytes->data(), network.prefix.data(), whole) != 0) return false;
    if (network.bits % 8 == 0) return true;
    const unsigned shift = 8 - network.bits % 8;
    return ((*bytes)[whole] >> shift) == (network.prefix[whole] >> shift);
  });
}

}  // namespace postrider::config
