// The milter protocol, version 6, as a mail server speaks it: packets of a length, a letter and data. Bytes in, values
// out. Nobody wrote a standard; Sendmail's libmilter is what filters are built with, and its names are in the comments.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/smtp/reply.h"

namespace postrider::milter {

constexpr uint32_t kVersion = 6;
constexpr uint32_t kOldestVersion = 2;
constexpr size_t kMaxPacket = 1 << 20;      // octets of one that a filter sends, its letter included
constexpr size_t kBodyChunk = 65'535;       // octets of a body that one packet carries to a filter
constexpr size_t kMaxSymbols = 64;          // macros that a filter may ask for at one stage
constexpr size_t kLengthOctets = 4;         // in front of each packet
constexpr size_t kMaxFieldChange = 65'535;  // octets of name and value of a field that a filter adds or changes

/// What a filter may do (SMFIF_*).
enum Action : uint32_t {
  kAddFields = 0x01,
  kChangeBody = 0x02,
  kAddRecipients = 0x04,
  kRemoveRecipients = 0x08,
  kChangeFields = 0x10,
  kQuarantine = 0x20,
  kChangeSender = 0x40,
  kAddRecipientsWithParameters = 0x80,
  kChooseMacros = 0x100,
  kAllActions = 0x1ff,
};

/// What is left out between server and filter (SMFIP_*).
enum Omission : uint32_t {
  kNoConnect = 0x01,
  kNoHelo = 0x02,
  kNoMail = 0x04,
  kNoRcpt = 0x08,
  kNoBody = 0x10,
  kNoFields = 0x20,
  kNoEndOfFields = 0x40,
  kNoReplyToFields = 0x80,
  kNoUnknown = 0x100,
  kNoData = 0x200,
  kMaySkip = 0x400,
  kShowRefused = 0x800,  // recipients that the server refused are shown all the same (SMFIP_RCPT_REJ)
  kNoReplyToConnect = 0x1000,
  kNoReplyToHelo = 0x2000,
  kNoReplyToMail = 0x4000,
  kNoReplyToRcpt = 0x8000,
  kNoReplyToData = 0x1'0000,
  kNoReplyToUnknown = 0x2'0000,
  kNoReplyToEndOfFields = 0x4'0000,
  kNoReplyToBody = 0x8'0000,
  kLeadingSpace = 0x10'0000,  // values of fields are exact, the blank after the colon included
  kAllOmissions = 0x1f'ffff,
};

/// What a server says (SMFIC_*).
enum class Command : char {
  abort = 'A',
  body = 'B',
  connect = 'C',
  macros = 'D',
  end_of_body = 'E',
  helo = 'H',
  quit = 'Q',
  field = 'L',
  mail = 'M',
  end_of_fields = 'N',
  negotiate = 'O',
  rcpt = 'R',
  data = 'T',
  unknown = 'U',
};

/// When macros are sent; the numbers with which a filter chooses its own.
enum class Stage : uint32_t {
  connect = 0,
  helo = 1,
  mail = 2,
  rcpt = 3,
  data = 4,
  end_of_message = 5,
  end_of_fields = 6
};
constexpr size_t kStages = 7;

using Macros = std::map<std::string, std::string, std::less<>>;

struct Negotiation {
  uint32_t version = kVersion;
  uint32_t actions = kAllActions;
  uint32_t omissions = kAllOmissions;
  std::array<std::vector<std::string>, kStages> symbols;  // of macros; empty: the usual ones
};

// --- what we say

void append_packet(std::string& out, Command command, std::string_view data = {});
void append_negotiation(std::string& out);
/// Those of the stage that have a value. chosen: by the filter, see Negotiation::symbols.
void append_macros(std::string& out, Command command, Stage stage, const std::vector<std::string>& chosen,
                   const Macros& macros);
/// name: of the client, "[192.0.2.1]" where it has none. address: its IP address.
void append_connect(std::string& out, std::string_view name, std::string_view address, uint16_t port);
/// helo, data of unknown commands: one string. MAIL and RCPT: the path in its brackets, then its parameters.
void append_strings(std::string& out, Command command, const std::vector<std::string>& strings);
void append_field(std::string& out, std::string_view name, std::string_view value);

// --- what a filter says

struct Packet {
  enum class Status { incomplete, complete, malformed };
  Status status = Status::incomplete;
  char letter = 0;
  std::string_view data;  // in the input
  size_t taken = 0;       // octets of the input
};
/// The packet at the beginning of the input.
Packet read_packet(std::string_view input);

/// The answer to append_negotiation(). The error is for people: a filter that wants what we did not offer.
Result<Negotiation> parse_negotiation(std::string_view data);

struct Response {
  enum class Kind {
    go_on,
    accept,
    reject,
    temporary,
    discard,
    custom,
    skip,
    progress,
    close,  // the session ends
    // At the end of a message only:
    add_recipient,
    remove_recipient,
    change_sender,
    add_field,
    insert_field,
    change_field,
    replace_body,
    quarantine,
  };
  Kind kind = Kind::go_on;
  smtp::Reply reply;   // custom
  uint32_t index = 0;  // insert_field: in front of that many; change_field: which of that name, from 1
  std::string name;    // of a field; an address in brackets
  std::string value;   // of a field; parameters of an address; a piece of a body; a reason

  bool is_change() const { return kind >= Kind::add_recipient; }
};
/// Nothing: that is no answer, and the filter cannot be trusted any more.
std::optional<Response> parse_response(char letter, std::string_view data);

}  // namespace postrider::milter
