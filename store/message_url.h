// What IMAP URLs lead to, for both daemons: a part of a message, read by whoever the URL is meant for (RFC 4467 6).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/mail/imap_url.h"
#include "store/account.h"

namespace postrider::store {

class Accounts;
class DirectoryService;

/// Who reads.
struct UrlReader {
  AccountId account = 0;
  bool submits = false;  // for mail that the account sends: what "submit+" is for
  UnixTime now = 0;
  std::string default_domain;  // as for Directory::find_account()
};

/// Where the octets are.
struct UrlPart {
  AccountId owner = 0;
  MessageId message = 0;
  Octets octets;
};

/// The token for a URL without one, by the key of its mailbox.
std::string url_token(std::string_view key, const ImapUrl& url);

/// What a URL names in a mailbox that it leads to.
std::optional<UrlPart> find_url_part(Account& account, const Mailbox& mailbox, const ImapUrl& url);

/// What an absolute URL of this server names; nothing where the reader may not have it, whatever the reason. Without
/// URLAUTH it is for the owner alone. Blocks; throws SqliteError.
std::optional<UrlPart> resolve_url(const ImapUrl& url, const UrlReader& reader, DirectoryService& directory,
                                   Accounts& accounts);

}  // namespace postrider::store
