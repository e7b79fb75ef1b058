#include "common/net/address_limits.h"

namespace postrider::net {

std::string network_of(const std::string& address) {
  std::error_code error;
  const auto v6 = asio::ip::make_address_v6(address, error);
  if (error) return address;
  auto bytes = v6.to_bytes();
  // All clients of this machine are ::1, which is one address and not a network.
  if (!v6.is_loopback()) std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
  return asio::ip::address_v6(bytes).to_string();
}

std::string AddressLimits::enter(const std::string& address) {
  std::string network = network_of(address);
  std::lock_guard lock(mutex_);
  if (total_ >= limits_.total) return "too many connections, try again later";
  auto [place, added] = by_network_.try_emplace(std::move(network), 0);
  if (place->second >= limits_.per_address) return "too many connections from your address";
  ++place->second;
  ++total_;
  return {};
}

void AddressLimits::leave(const std::string& address) {
  const std::string network = network_of(address);
  std::lock_guard lock(mutex_);
  --total_;
  auto place = by_network_.find(network);
  if (place != by_network_.end() && --place->second == 0) by_network_.erase(place);
}

size_t AddressLimits::total() const {
  std::lock_guard lock(mutex_);
  return total_;
}

void AddressLimits::set(ConnectionLimits limits) {
  std::lock_guard lock(mutex_);
  limits_ = limits;
}

}  // namespace postrider::net
