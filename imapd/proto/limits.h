// How much a client may say at once. Every buffer of the grammar ends at one of these.
#pragma once

#include <cstddef>

namespace postrider::imap {

constexpr size_t kMaxLine = 64 << 10;             // octets of one line after login
constexpr size_t kMaxLineBeforeLogin = 36 << 10;  // enough for AUTHENTICATE, and for the longest ID (RFC 2971 3.3)
constexpr size_t kMaxLiteral = 64 << 10;  // octets of one collected literal; a message is streamed, not collected
constexpr size_t kMaxLiteralBeforeLogin = 1 << 10;  // a user name or a password
constexpr size_t kMaxCommandSize = 256 << 10;       // octets of one command with its literals
constexpr size_t kMaxCommandBeforeLogin = 40 << 10;
constexpr size_t kMaxTag = 64;                 // octets
constexpr size_t kMaxSequenceRanges = 20'000;  // ranges in one sequence set
constexpr size_t kMaxSearchKeys = 1'000;       // keys in one SEARCH
constexpr size_t kMaxSearchDepth = 50;         // nested parentheses, NOT and OR
constexpr size_t kMaxSortKeys = 10;            // keys in one SORT
constexpr size_t kMaxFetchItems = 100;         // data items in one FETCH
constexpr size_t kMaxHeaderFields = 200;       // names in one HEADER.FIELDS
constexpr size_t kMaxSectionDepth = 100;       // numbers in one section
constexpr size_t kMaxFlagsInCommand = 100;     // flags in one STORE or APPEND
constexpr size_t kMaxKeywordLength = 128;      // octets
constexpr size_t kMaxListPatterns = 50;        // patterns in one LIST
constexpr size_t kMaxMailboxArgument = 4'000;  // octets of a mailbox name as it is sent
constexpr size_t kMaxMetadataEntries = 100;    // entries in one GETMETADATA or SETMETADATA
constexpr size_t kMaxNotifyGroups = 100;       // event groups in one NOTIFY
constexpr size_t kMaxCancelledTags = 100;      // tags in one CANCELUPDATE
constexpr size_t kMaxUrls = 100;               // in one GENURLAUTH or URLFETCH
constexpr size_t kMaxLanguages = 50;           // tags in one LANGUAGE
constexpr size_t kMaxIdFields = 30;            // RFC 2971 3.3
constexpr size_t kMaxQuoted = 4 << 10;         // octets that are answered as a quoted string; longer ones are literals

}  // namespace postrider::imap
