// The text of an SPF record (RFC 7208 4.6.1 and 12), read whole before any of it counts: one error makes all of it
// void.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/mailauth/ip.h"

namespace postrider::spf {

constexpr size_t kMaxRecord = 16 << 10;  // octets of a record that is read
constexpr size_t kMaxTerms = 500;        // of a record

enum class Mechanism { all, include, a, mx, ptr, ip4, ip6, exists };
enum class Qualifier : char { pass = '+', fail = '-', softfail = '~', neutral = '?' };

struct Directive {
  Qualifier qualifier = Qualifier::pass;
  Mechanism mechanism = Mechanism::all;
  std::string domain;                // domain-spec, macros unexpanded; empty: the current domain
  std::optional<IpAddress> network;  // ip4, ip6
  unsigned prefix4 = 32, prefix6 = 128;
};

struct Record {
  std::vector<Directive> directives;
  std::string redirect, exp;  // domain-specs; empty: none
};

/// Whether a TXT record is an SPF record: "v=spf1" and then a space or the end (4.5).
bool is_record(std::string_view text);
/// text: an SPF record. The error says what is wrong.
Result<Record> parse_record(std::string_view text);

/// Whether all % of a macro-string begin macros (7.1). explanation: the letters c, r and t are allowed too.
bool is_macro_string(std::string_view text, bool explanation);

}  // namespace postrider::spf
