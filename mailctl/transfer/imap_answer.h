// What an IMAP server answers to whoever takes its mail over: LIST, NAMESPACE, FETCH and response codes (RFC 3501 7,
// RFC 2342, RFC 6154). Pure. Servers differ: what is not understood is passed over where the rest can be read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "store/types.h"

namespace postrider::mailctl {

struct RemoteMailbox {
  std::string wire;         // as the server names it
  std::string delimiter;    // one character, or empty
  std::string special_use;  // "\\Sent", or empty
  bool selectable = true, subscribed = false;
};
/// "* LIST (...) "/" name", or LSUB.
std::optional<RemoteMailbox> parse_list(std::string_view answer);

/// Where a user's own mailboxes are, and where others' are.
struct Namespaces {
  std::string personal;              // prefix
  std::vector<std::string> foreign;  // prefixes
};
std::optional<Namespaces> parse_namespaces(std::string_view answer);

/// Our name of a mailbox there; nothing where it cannot be read. prefix: of the user's own mailboxes.
std::optional<std::string> local_name(const RemoteMailbox& mailbox, std::string_view prefix);

/// "* 1 FETCH (...)", where the body was taken out: BODY[] "".
struct FetchedMessage {
  store::Uid uid = 0;
  uint64_t flags = 0;
  std::vector<std::string> keywords;
  std::optional<UnixTime> date;
};
/// Nothing: it is another answer, or one that cannot be read.
std::optional<FetchedMessage> parse_fetched(std::string_view answer);

/// "* 17 EXISTS": the number before the word.
std::optional<uint32_t> parse_count(std::string_view answer, std::string_view word);
/// "* OK [UIDVALIDITY 5] ...": the number behind the code.
std::optional<uint32_t> parse_code(std::string_view answer, std::string_view code);
/// "* CAPABILITY a b c": in upper case, with a blank on both sides of each.
std::optional<std::string> parse_capabilities(std::string_view answer);

/// Of a line that ends with a literal's size ("{17}", without its line end): the size.
std::optional<uint64_t> literal_size(std::string_view line);

}  // namespace postrider::mailctl
