// IMAP's BODYSTRUCTURE from the parts of a message and from what their headers say (RFC 3501 7.4.2).
#pragma once

#include <string>
#include <vector>

#include "common/mail/mime_index.h"

namespace postrider {

/// What BODYSTRUCTURE says of a part beyond its place: values that are ready to send.
struct PartDescription {
  std::string parameters = "NIL";         // body parameter list
  std::string identity = "NIL NIL";       // Content-ID and Content-Description
  std::string md5 = "NIL";                // Content-MD5
  std::string extension = "NIL NIL NIL";  // disposition, language, location
  std::string envelope;                   // of a message: its ENVELOPE
};

/// descriptions[i] belongs to index.parts[i].
std::string make_bodystructure(const MimeIndex& index, const std::vector<PartDescription>& descriptions);

}  // namespace postrider
