// The METADATA response (RFC 5464 4.4).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "imapd/proto/command.h"
#include "store/annotations.h"

namespace postrider::imap {

/// Those of the annotations that the entries mean, themselves or by the depth below them. longer: the size of the
/// longest one that was left out for MAXSIZE; 0: none was.
std::vector<store::Annotation> chosen(const GetMetadataCommand& command, const std::vector<store::Annotation>& all,
                                      size_t& longer);

/// "* METADATA INBOX (/shared/comment "x" /private/comment NIL)": of these entries; nothing where there are none.
void append_metadata(std::string& out, std::string_view mailbox, const std::vector<std::string>& entries,
                     const std::vector<store::Annotation>& annotations, bool utf8);
void append_metadata(std::string& out, std::string_view mailbox, const std::vector<store::Annotation>& annotations,
                     bool utf8);

}  // namespace postrider::imap
