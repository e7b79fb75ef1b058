// Searches that are saved under a name (RFC 5466), and the charsets of what is searched for.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "imapd/proto/command.h"
#include "imapd/reply.h"

namespace postrider::imap {

/// Entries of the server's metadata: the searches, by name behind it.
constexpr std::string_view kFilterValues = "/filters/values/";
constexpr size_t kMaxFilters = 50;      // saved searches in one command, with those that they name
constexpr size_t kMaxFilterDepth = 10;  // searches that name searches

/// Strings become UTF-8; why not otherwise.
std::optional<Reply> check_charset(SearchCommand& command);

/// Puts searches in the place of their names. find: the text of a name. Why not otherwise.
using FindFilter = std::function<std::optional<std::string>(const std::string&)>;
std::optional<Reply> insert_filters(SearchCommand& command, const FindFilter& find);

/// Whether a text can be saved as a search.
bool is_search(const std::string& text);

}  // namespace postrider::imap
