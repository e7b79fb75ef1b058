#include "common/net/proxy_header.h"

#include <algorithm>
#include <array>
#include <asio/ip/address.hpp>
#include <cstring>
#include <optional>

#include "common/base/number.h"

namespace postrider::net {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;  // of version 2
constexpr size_t kMaxVersion1 = 107;
constexpr size_t kShortest = 15;  // "PROXY UNKNOWN" and CRLF; version 2 has 16

ProxyHeader malformed() {
  ProxyHeader header;
  header.status = ProxyHeader::Status::malformed;
  return header;
}

ProxyHeader incomplete(size_t missing) {
  ProxyHeader header;
  header.missing = missing;
  return header;
}

std::string text_of(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

std::optional<std::string> parse_address(std::string_view text, bool v6) {
  std::error_code error;
  const auto address = asio::ip::make_address(std::string(text), error);
  if (error || address.is_v6() != v6) return std::nullopt;
  return text_of(address);
}

/// "PROXY TCP4 192.0.2.1 192.0.2.2 51000 25\r\n"
ProxyHeader read_version1(std::string_view input) {
  const size_t end = input.substr(0, kMaxVersion1).find("\r\n");
  if (end == std::string_view::npos) {
    if (input.size() >= kMaxVersion1) return malformed();
    const size_t line_end = input.ends_with('\r') ? 1 : 2;
    return incomplete(std::max(line_end, kShortest - std::min(input.size(), kShortest)));
  }
  std::array<std::string_view, 6> words;
  std::string_view rest = input.substr(0, end);
  size_t count = 0;
  for (; count < words.size() && !rest.empty(); ++count) {
    words[count] = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(words[count].size() + 1, rest.size()));
  }
  ProxyHeader header;
  header.taken = end + 2;
  header.status = ProxyHeader::Status::complete;
  if (count >= 2 && words[1] == "UNKNOWN") return header;
  const bool v6 = words[1] == "TCP6";
  if (count != 6 || !rest.empty() || input[end - 1] == ' ' || (!v6 && words[1] != "TCP4")) return malformed();
  auto source = parse_address(words[2], v6), destination = parse_address(words[3], v6);
  const auto from = parse_number<uint16_t>(words[4]), to = parse_number<uint16_t>(words[5]);
  if (!source || !destination || !from || !to) return malformed();
  header.source = std::move(*source);
  header.destination = std::move(*destination);
  header.source_port = *from;
  header.destination_port = *to;
  return header;
}

uint16_t u16(std::string_view octets) {
  return static_cast<uint16_t>(static_cast<unsigned char>(octets[0]) << 8 | static_cast<unsigned char>(octets[1]));
}

template <class Address>
std::string binary_address(std::string_view octets) {
  typename Address::bytes_type bytes;
  std::memcpy(bytes.data(), octets.data(), bytes.size());
  return text_of(asio::ip::address(Address(bytes)));
}

ProxyHeader read_version2(std::string_view input) {
  constexpr size_t kFixed = 16;
  if (input.size() < kFixed) return incomplete(kFixed - input.size());
  const auto version_and_command = static_cast<unsigned char>(input[12]);
  const auto family = static_cast<unsigned char>(input[13]);
  const size_t length = u16(input.substr(14));
  if (version_and_command >> 4 != 2 || (version_and_command & 15) > 1 || kFixed + length > kMaxProxyHeader)
    return malformed();
  if (input.size() < kFixed + length) return incomplete(kFixed + length - input.size());
  ProxyHeader header;
  header.taken = kFixed + length;
  header.status = ProxyHeader::Status::complete;
  const std::string_view data = input.substr(kFixed, length);
  if ((version_and_command & 15) == 0) return header;  // LOCAL: a look whether we are there
  if (family == 0x11) {
    if (data.size() < 12) return malformed();
    header.source = binary_address<asio::ip::address_v4>(data);
    header.destination = binary_address<asio::ip::address_v4>(data.substr(4));
    header.source_port = u16(data.substr(8));
    header.destination_port = u16(data.substr(10));
  } else if (family == 0x21) {
    if (data.size() < 36) return malformed();
    header.source = binary_address<asio::ip::address_v6>(data);
    header.destination = binary_address<asio::ip::address_v6>(data.substr(16));
    header.source_port = u16(data.substr(32));
    header.destination_port = u16(data.substr(34));
  } else if (family != 0) {
    return malformed();  // UDP and Unix sockets carry no mail
  }
  return header;
}

}  // namespace

ProxyHeader read_proxy_header(std::string_view input) {
  constexpr std::string_view kVersion1 = "PROXY ";
  if (input.substr(0, kSignature.size()) == kSignature.substr(0, std::min(input.size(), kSignature.size()))) {
    return input.size() < kSignature.size() ? incomplete(kShortest - input.size()) : read_version2(input);
  }
  if (input.substr(0, kVersion1.size()) == kVersion1.substr(0, std::min(input.size(), kVersion1.size()))) {
    return input.size() < kVersion1.size() ? incomplete(kShortest - input.size()) : read_version1(input);
  }
  return malformed();
}

}  // namespace postrider::net
