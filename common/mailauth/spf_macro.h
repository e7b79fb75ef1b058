// SPF's macros (RFC 7208 7).
#pragma once

#include <string>
#include <string_view>

#include "common/mailauth/spf.h"

namespace postrider::spf {

constexpr size_t kMaxExpanded = 8 << 10;  // octets of a text with its macros expanded; the rest is cut off

struct MacroValues {
  const Query& query;
  std::string_view local_part, sender_domain;  // of the identity that is checked
  std::string_view domain;                     // the current one
  std::string_view validated_name;             // %{p}
};

/// Whether a text holds %{p}, whose value has to be looked up first.
bool uses_validated_name(std::string_view text);
/// text: a macro-string that is_macro_string() said yes to.
std::string expand(std::string_view text, const MacroValues& values);
/// A domain-spec: what is longer than a domain name loses labels from the left (7.3). Without a dot at the end.
std::string expand_domain(std::string_view text, const MacroValues& values);

}  // namespace postrider::spf
