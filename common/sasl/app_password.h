// App passwords: made by us with 128 random bits, one for each program of a user, and good for one protocol or both.
// Nobody guesses 128 random bits, so a plain SHA-256 of one is as safe at rest as a costly hash of what people think
// up, and a login costs nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postrider::sasl {

enum Scope : uint8_t { kScopeSmtp = 1, kScopeImap = 2, kScopeAll = 3 };

/// Five groups of letters and digits, to be typed in.
std::string make_app_password();
/// What is stored of one; blanks, hyphens and capitals do not count. Nothing for what cannot be one.
std::optional<std::string> app_password_hash(std::string_view password);

}  // namespace postrider::sasl
