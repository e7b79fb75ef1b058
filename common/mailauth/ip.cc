#include "common/mailauth/ip.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace postrider {
namespace {

constexpr size_t kV4 = 4, kV6 = 16;
constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  std::array<char, kV6> octets{};
  if (::inet_pton(AF_INET, terminated.c_str(), octets.data()) == 1) return from_rdata({octets.data(), kV4});
  if (::inet_pton(AF_INET6, terminated.c_str(), octets.data()) == 1) return from_rdata({octets.data(), kV6});
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::from_rdata(std::string_view rdata) {
  if (rdata.size() != kV4 && rdata.size() != kV6) return std::nullopt;
  if (rdata.size() == kV6 && std::memcmp(rdata.data(), kMapped.data(), kMapped.size()) == 0)
    rdata.remove_prefix(kMapped.size());
  IpAddress address;
  address.size_ = rdata.size();
  std::memcpy(address.octets_.data(), rdata.data(), rdata.size());
  return address;
}

bool IpAddress::in_network(const IpAddress& network, unsigned prefix) const {
  if (size_ != network.size_) return false;
  const unsigned whole = std::min(prefix, bits()) / 8, rest = std::min(prefix, bits()) % 8;
  if (std::memcmp(octets_.data(), network.octets_.data(), whole) != 0) return false;
  return rest == 0 || (octets_[whole] ^ network.octets_[whole]) >> (8 - rest) == 0;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(is_v6() ? AF_INET6 : AF_INET, octets_.data(), text.data(), static_cast<socklen_t>(text.size()));
  return text.data();
}

std::string IpAddress::dotted() const {
  if (!is_v6()) return to_string();
  std::string text;
  for (uint8_t octet : octets_) text += fmt::format("{}{:X}.{:X}", text.empty() ? "" : ".", octet >> 4, octet & 15);
  return text;
}

std::string IpAddress::reverse_name() const {
  std::string name;
  for (size_t i = size_; i-- > 0;) {
    name += is_v6() ? fmt::format("{:x}.{:x}.", octets_[i] & 15, octets_[i] >> 4) : fmt::format("{}.", octets_[i]);
  }
  return name + (is_v6() ? "ip6.arpa" : "in-addr.arpa");
}

}  // namespace postrider
