// Messages whose octets are written anew: for hosts that take less, and for IMAP, which cannot show NUL.
#pragma once

#include <memory>
#include <string>

#include "common/mail/downgrade.h"
#include "store/message_source.h"

namespace postrider::store {

/// The message as the plan for it says. directory: where a large one is written. Throws std::system_error.
std::shared_ptr<const Spool> convert(const Spool& message, DowngradePlan plan, const std::string& directory);

/// The message with parts that hold NUL in base64: an IMAP literal has none (RFC 9051 4.3.1), and what is read by
/// BINARY is the same as before. Null where it cannot be converted. Throws as above.
std::shared_ptr<const Spool> without_nul(const Spool& message, const std::string& directory);

}  // namespace postrider::store
