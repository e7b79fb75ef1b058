// Whether a text occurs in a message as a person reads it: transfer encoding and charset taken off, case folded.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/mail/mime_index.h"

namespace postrider::imap {

/// Reads length octets from offset of what the index counts from, appended to out; fewer at the end of the message.
using ReadOctets = std::function<void(uint64_t offset, uint64_t length, std::string& out)>;

/// needle: as fold_for_search() makes it; an empty one is everywhere.

/// In some field of a header block, its name included.
bool header_contains(std::string_view block, std::string_view needle);
/// In the values of the fields of that name; an empty needle asks whether there is such a field (RFC 3501 6.4.4).
bool field_contains(std::string_view block, std::string_view field, std::string_view needle);
/// In the text parts, and the headers of parts and of messages within the message.
bool body_contains(const MimeIndex& index, const ReadOctets& read, std::string_view needle);

}  // namespace postrider::imap
