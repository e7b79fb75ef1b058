// gzip (RFC 1952), as reports are sent in.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace postrider {

std::string gzip(std::string_view text);
/// The error is a sentence; more than max octets are one, however few they come from.
Result<std::string> gunzip(std::string_view octets, size_t max);

}  // namespace postrider
