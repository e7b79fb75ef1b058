// What reports come packed in: zip files beside gzip.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace postrider {

/// The first file of a zip archive. The error is a sentence; more than max octets are one, however few they come from.
Result<std::string> unzip(std::string_view octets, size_t max);
/// gzip or zip, as its first octets say; anything else is taken to be not packed.
Result<std::string> unpack(std::string_view octets, size_t max);

}  // namespace postrider
