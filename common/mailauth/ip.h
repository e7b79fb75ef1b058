// IP addresses as SPF compares and writes them; no sockets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postrider {

/// An IPv4 address that came mapped into IPv6 is IPv4 (RFC 7208 5).
class IpAddress {
 public:
  /// "192.0.2.1", "2001:db8::1", without brackets.
  static std::optional<IpAddress> parse(std::string_view text);
  /// The 4 or 16 octets of an A or AAAA record.
  static std::optional<IpAddress> from_rdata(std::string_view rdata);

  bool is_v6() const { return size_ == 16; }
  unsigned bits() const { return static_cast<unsigned>(size_) * 8; }
  /// Whether the first bits are the same; false for another family.
  bool in_network(const IpAddress& network, unsigned prefix) const;
  bool operator==(const IpAddress& other) const { return in_network(other, bits()); }

  std::string to_string() const;
  /// SPF's %{i}: "192.0.2.1", or the 32 nibbles of an IPv6 address with dots between.
  std::string dotted() const;
  /// "1.2.0.192.in-addr.arpa" (RFC 1035 3.5, RFC 3596 2.5).
  std::string reverse_name() const;

 private:
  std::array<uint8_t, 16> octets_{};
  size_t size_ = 0;
};

}  // namespace postrider
