// Domains and address literals: the half of address.h that knows DNS names and IP addresses.
#include <arpa/inet.h>
#include <idn2.h>

#include <array>
#include <memory>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/mail/address.h"

namespace postrider {
namespace {

/// Let-dig and hyphens inside (RFC 5321 4.1.2), and the underscore.
bool is_ascii_label(std::string_view label) {
  if (label.empty() || label.size() > kMaxDomainLabel) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  for (char c : label) {
    if (!is_alnum(c) && c != '-' && c != '_') return false;
  }
  return true;
}

bool is_ascii_domain(std::string_view name) {
  if (name.size() > kMaxDomain) return false;
  for (;;) {
    size_t dot = name.find('.');
    if (!is_ascii_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool has_a_label(std::string_view lower_name) {
  return lower_name.starts_with("xn--") || lower_name.find(".xn--") != std::string_view::npos;
}

/// The IP address between the brackets, as inet_ntop writes it.
std::optional<std::string> canonical_ip(int family, std::string_view text) {
  std::array<unsigned char, 16> octets{};
  std::array<char, INET6_ADDRSTRLEN> name{};
  if (text.size() >= name.size()) return std::nullopt;
  if (inet_pton(family, std::string(text).c_str(), octets.data()) != 1) return std::nullopt;
  if (inet_ntop(family, octets.data(), name.data(), static_cast<socklen_t>(name.size())) == nullptr)
    return std::nullopt;
  return std::string(name.data());
}

}  // namespace

bool is_domain(std::string_view text, Utf8 utf8) {
  if (text.empty() || text.size() > kMaxDomain) return false;
  if (!has_8bit(text)) return is_ascii_domain(text);
  return utf8 == Utf8::allowed && normalize_domain(text).has_value();
}

std::optional<std::string> address_literal_ip(std::string_view text) {
  constexpr std::string_view kIpv6 = "IPv6:";
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  if (istarts_with(text, kIpv6)) return canonical_ip(AF_INET6, text.substr(kIpv6.size()));
  return canonical_ip(AF_INET, text);
}

bool is_address_literal(std::string_view text) {
  return address_literal_ip(text).has_value();
}

Result<std::string> normalize_domain(std::string_view domain) {
  if (domain.empty()) return failure("the domain is empty");
  if (domain.size() > kMaxDomain) return failure("the domain is longer than 255 octets");
  if (domain.front() == '[') {
    auto ip = address_literal_ip(domain);
    if (!ip) return failure("the address literal holds no IP address");
    return ip->find(':') == std::string::npos ? "[" + *ip + "]" : "[IPv6:" + *ip + "]";
  }
  std::string name = lower(domain);
  if (!has_8bit(name)) {
    if (!is_ascii_domain(name)) return failure("the domain is not a valid domain name");
    if (!has_a_label(name)) return name;
  } else if (!is_valid_utf8(name) || name.find('\0') != std::string::npos) {
    return failure("the domain is not valid UTF-8");
  }
  char* converted = nullptr;
  int code = idn2_to_ascii_8z(name.c_str(), &converted, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
  std::unique_ptr<char, void (*)(void*)> owner(converted, idn2_free);
  if (code != IDN2_OK) return failure("the domain is not a valid internationalized name");
  std::string result = lower(converted);
  if (!is_ascii_domain(result)) return failure("the domain is not a valid domain name");
  return result;
}

bool same_domain(std::string_view a, std::string_view b) {
  if (!has_8bit(a) && !has_8bit(b) && iequals(a, b)) return is_domain(a, Utf8::refused) || is_address_literal(a);
  auto first = normalize_domain(a);
  auto second = normalize_domain(b);
  return first && second && *first == *second;
}

}  // namespace postrider
