// Keywords and subscriptions beside a Maildir, in the files that Dovecot and Courier keep: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postrider::mailctl {

/// The file dovecot-keywords of a folder, "0 name" on each line: names by letter, a first. Lines that are none, and
/// names that IMAP could not tell, are empty.
std::vector<std::string> parse_keywords_file(std::string_view text);
std::string format_keywords_file(const std::vector<std::string>& names);
/// A name that a flag may have (RFC 3501 9, flag-keyword).
bool is_keyword(std::string_view name);

/// The subscribed mailboxes of Dovecot's file subscriptions (both versions) or Courier's courierimapsubscribed.
std::vector<std::string> parse_subscriptions(std::string_view text);
std::string format_subscriptions(const std::vector<std::string>& mailboxes);

}  // namespace postrider::mailctl
