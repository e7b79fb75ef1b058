// Writes responses: the one place that decides between atom, quoted string and literal (RFC 3501 4.3).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/format.h"
#include "imapd/proto/command.h"

namespace postrider::imap {

/// Quoted where that can be, else a literal.
void append_string(std::string& out, std::string_view text);
/// An atom where that can be, else as append_string().
void append_astring(std::string& out, std::string_view text);
/// As append_string(), or a literal8 where there is a NUL.
void append_string8(std::string& out, std::string_view text);
void append_nstring(std::string& out, const std::optional<std::string>& text);
/// "{n}" and line end; the caller appends the octets.
void append_literal_head(std::string& out, uint64_t size);
/// A mailbox name from UTF-8; in modified UTF-7 unless utf8 (RFC 6855).
void append_mailbox(std::string& out, std::string_view name, bool utf8 = false);

/// "(\Seen $Forwarded)". bits: the low byte system flags (flag::k...), then one bit a keyword.
void append_flags(std::string& out, uint64_t bits, const std::vector<std::string>& keywords, int first_keyword_bit,
                  bool recent);

/// "BODY[1.HEADER.FIELDS (From)]<0>": the name that a section is answered under.
void append_section_name(std::string& out, const FetchItem& item);

/// "(MESSAGES 3 UIDNEXT 7)"
struct StatusValues {
  uint32_t messages = 0, recent = 0, uid_next = 0, uid_validity = 0, unseen = 0, deleted = 0;
  uint64_t highest_modseq = 0, size = 0, append_limit = 0;
  std::string mailbox_id;
};
void append_status(std::string& out, unsigned items, const StatusValues& values);

/// Text for people in a tagged or untagged status response: one line, never empty, printable ASCII.
void append_text(std::string& out, std::string_view text);

}  // namespace postrider::imap
