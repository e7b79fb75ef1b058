// IMAP URLs that name a message or a part of one (RFC 5092), and who may read by them without a login of their own
// (URLAUTH, RFC 4467).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/mail/message_section.h"

namespace postrider {

constexpr size_t kMaxImapUrl = 8 << 10;                    // octets
constexpr std::string_view kUrlAuthInternal = "INTERNAL";  // the one mechanism (RFC 4467 2.4.1)

/// "imap://alice%40example.org@mail.example.org/Drafts;UIDVALIDITY=7/;UID=20/;SECTION=1.2;URLAUTH=anonymous:..."
struct ImapUrl {
  enum class Access : uint8_t { none, submit, user, authuser, anonymous };

  std::string user;  // whose mailbox it is; empty: not said
  std::string host;  // lower case; empty: a path on the server at hand
  uint16_t port = 0;
  std::string mailbox;  // UTF-8; empty: the selected one
  std::optional<uint32_t> uid_validity;
  uint32_t uid = 0;
  Section section;
  std::optional<Partial> partial;  // of length UINT32_MAX: to the end
  std::optional<UnixTime> expires;
  Access access = Access::none;
  std::string access_user;  // of submit and user
  std::string rump;         // what a token is made for: all up to the access
  std::string token;        // with the mechanism INTERNAL; empty where none was given
};

/// Nothing for whole servers and mailboxes, searches, HEADER.FIELDS, other mechanisms than INTERNAL, and what is no
/// such URL.
std::optional<ImapUrl> parse_imap_url(std::string_view url);

/// By what names a server is known in URLs.
struct UrlServer {
  std::vector<std::string> names;  // in any case
  uint16_t port = 143;             // that may be written; the usual one may too
  bool is_named_by(const ImapUrl& url) const;
};

}  // namespace postrider
