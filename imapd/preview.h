// The first words of a message, for lists of messages (RFC 8970).
#pragma once

#include <string>

#include "common/mail/mime_index.h"
#include "imapd/search_text.h"

namespace postrider::imap {

constexpr size_t kMaxPreview = 200;  // characters (RFC 8970 3.1 allows 256)

/// UTF-8 without line ends, from the first part that holds text: plain where there is such a part, else HTML without
/// its tags. Empty where there is nothing to read.
std::string make_preview(const MimeIndex& index, const ReadOctets& read);

}  // namespace postrider::imap
