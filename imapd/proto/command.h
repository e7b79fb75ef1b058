// What the commands of RFC 3501, RFC 9051 and their extensions say, as values. Mailbox names are UTF-8 and canonical
// (mailbox_name.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/mail/message_section.h"
#include "imapd/proto/limits.h"
#include "imapd/proto/sequence_set.h"

namespace postrider::imap {

/// System flags as bits; the same values as the store's.
namespace flag {
constexpr uint8_t kSeen = 1, kAnswered = 2, kFlagged = 4, kDeleted = 8, kDraft = 16;
}

struct FlagNames {
  uint8_t system = 0;                 // flag::k... bits
  std::vector<std::string> keywords;  // as written
};

struct LoginCommand {
  std::string user, password;
};

struct AuthenticateCommand {
  std::string mechanism;               // upper case
  std::optional<std::string> initial;  // SASL-IR, as sent: base64, or "=" for an empty one
};

struct EnableCommand {
  std::vector<std::string> names;  // upper case
};

struct IdCommand {
  std::vector<std::pair<std::string, std::optional<std::string>>> fields;
};

/// What a client still has of a mailbox (RFC 7162 3.2.5).
struct Resync {
  uint32_t uid_validity = 0;
  uint64_t modseq = 0;
  std::optional<SequenceSet> known;  // UIDs; without it, all that there were
};

struct SelectCommand {
  std::string mailbox;
  bool condstore = false;
  std::optional<Resync> resync;
};

struct CreateCommand {
  std::string mailbox;
  std::vector<std::string> use;  // "\\Sent" (RFC 6154 3)
};

struct RenameCommand {
  std::string from, to;
};

enum StatusItem : unsigned {
  kStatusMessages = 1,
  kStatusRecent = 2,
  kStatusUidNext = 4,
  kStatusUidValidity = 8,
  kStatusUnseen = 16,
  kStatusHighestModSeq = 32,
  kStatusSize = 64,
  kStatusDeleted = 128,
  kStatusMailboxId = 256,        // RFC 8474
  kStatusAppendLimit = 512,      // RFC 7889
  kStatusDeletedStorage = 1024,  // RFC 9208
};

struct StatusCommand {
  std::string mailbox;
  unsigned items = 0;  // StatusItem bits
};

/// LIST with RFC 5258, 5819 and 6154, and LSUB.
struct ListCommand {
  std::string reference;
  std::vector<std::string> patterns;
  bool extended = false;  // any of the options below, or several patterns
  bool select_subscribed = false;
  bool select_remote = false;
  bool select_recursive = false;
  bool select_special_use = false;
  bool return_subscribed = false;
  bool return_children = false;
  bool return_special_use = false;
  unsigned return_status = 0;                // StatusItem bits; 0: not asked for
  bool return_my_rights = false;             // RFC 8440
  std::vector<std::string> return_metadata;  // entries (RFC 9590)
};

/// GETMETADATA (RFC 5464). Names of entries are in lower case.
struct GetMetadataCommand {
  static constexpr uint32_t kInfinity = UINT32_MAX;
  std::string mailbox;  // empty: the server
  std::vector<std::string> entries;
  std::optional<uint32_t> max_size;  // octets
  uint32_t depth = 0;
};

struct SetMetadataCommand {
  std::string mailbox;  // empty: the server
  std::vector<std::pair<std::string, std::optional<std::string>>> values;
};

/// SETACL, DELETEACL and LISTRIGHTS (RFC 4314).
struct AclCommand {
  std::string mailbox, identifier;
  std::string rights;  // of SETACL, as written
};

/// What stands before the messages of an APPEND.
struct AppendCommand {
  std::string mailbox;
};

/// What stands before the message of a REPLACE.
struct ReplaceCommand {
  uint32_t number = kStar;  // or a UID
  std::string mailbox;
};

/// A URL that is to be authorized (RFC 4467).
struct UrlRequest {
  std::string rump;
  std::string mechanism;  // in capitals
};

struct ResetKeyCommand {
  std::optional<std::string> mailbox;   // nothing: all of the user's
  std::vector<std::string> mechanisms;  // in capitals; none: all
};

struct FetchItem {
  enum class Kind : uint8_t {
    flags,
    uid,
    modseq,
    internal_date,
    save_date,  // RFC 8514
    email_id,   // RFC 8474
    thread_id,
    preview,  // RFC 8970
    size,
    envelope,
    body,
    body_structure,
    section,      // BODY[...], BODY.PEEK[...]
    binary,       // BINARY[...], BINARY.PEEK[...] (RFC 3516)
    binary_size,  // BINARY.SIZE[...]
    rfc822,
    rfc822_header,
    rfc822_text
  };
  Kind kind = Kind::flags;
  bool peek = false;
  bool lazy = false;  // PREVIEW (LAZY)
  Section section;
  std::optional<Partial> partial;
};

/// Places in a list, from 1; negative ones count from its end (RFC 9394).
struct Positions {
  int64_t first = 0, last = 0;
};

struct FetchCommand {
  SequenceSet set;
  std::vector<FetchItem> items;
  std::optional<uint64_t> changed_since;  // RFC 7162 3.1.4.1
  bool vanished = false;                  // 3.2.6
  std::optional<Positions> partial;       // RFC 9394 3.3
};

struct StoreCommand {
  enum class Action : uint8_t { replace, add, remove };
  SequenceSet set;
  Action action = Action::replace;
  bool silent = false;
  FlagNames flags;
  std::optional<uint64_t> unchanged_since;  // RFC 7162 3.1.3
};

/// COPY and MOVE.
struct CopyCommand {
  SequenceSet set;
  std::string mailbox;
};

/// A node of what SEARCH looks for. UNSEEN is a negated `flag`, BCC a `header`.
struct SearchKey {
  enum class Kind : uint8_t {
    all,
    all_of,    // children
    any_of,    // children
    sequence,  // set, of message numbers
    uid,       // set
    flag,      // system: these bits
    keyword,   // text
    recent,
    larger,           // number
    smaller,          // number
    internal_before,  // day, RFC822.SIZE and INTERNALDATE as the store has them
    internal_on,
    internal_since,
    sent_before,  // day, of the Date field
    sent_on,
    sent_since,
    saved_before,  // day it came into this mailbox (RFC 8514)
    saved_on,
    saved_since,
    older,      // number, seconds (RFC 5032)
    younger,    // number
    email_id,   // value (RFC 8474)
    thread_id,  // value
    none,       // nothing
    filter,     // value: the name of a saved search, put in place before it is searched (RFC 5466)
    header,     // field and text; empty text: the field is there
    body,       // text
    text,       // text, in header or body
    modseq,     // number (RFC 7162 3.1.5)
  };
  Kind kind = Kind::all;
  bool negated = false;
  bool fuzzy = false;  // below FUZZY (RFC 6203)
  uint8_t system = 0;
  int64_t day = 0;
  uint64_t number = 0;
  std::string field;
  std::string value;
  SequenceSet set;
  std::vector<SearchKey> children;
};

/// What is to be told of a result (RFC 4731, 5182, 9394).
struct ReturnOptions {
  bool given = false;  // RETURN was said
  bool min = false, max = false, all = false, count = false, save = false;
  bool update = false;     // RFC 5267 4.3
  bool relevancy = false;  // RFC 6203 4
  std::optional<Positions> partial;
};

/// SEARCH, and what SORT and THREAD search for.
struct SearchCommand {
  std::string charset;  // upper case; empty when not said
  ReturnOptions options;
  SearchKey key;         // all_of
  bool modseq = false;   // MODSEQ is among the keys
  bool numbers = false;  // message numbers are among the keys
  bool filters = false;  // so are saved searches
  bool fuzzy = false;    // so is FUZZY
};

/// UIDBATCHES: the ranges of UIDs that part a mailbox into batches of so many messages, the newest first.
struct UidBatchesCommand {
  uint32_t size = 0;
  std::optional<NumberRange> batches;  // which of them, from 1
};

/// RFC 5256, 5957.
struct SortKey {
  enum class Kind : uint8_t { arrival, cc, date, display_from, display_to, from, relevancy, size, subject, to };
  Kind kind = Kind::arrival;
  bool reverse = false;
};

struct SortCommand {
  std::vector<SortKey> keys;
  bool by_relevancy = false;  // that is among the keys
  SearchCommand search;
};

struct ThreadCommand {
  enum class Algorithm : uint8_t { ordered_subject, references };
  Algorithm algorithm = Algorithm::references;
  SearchCommand search;
};

}  // namespace postrider::imap
