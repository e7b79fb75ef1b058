// Reads what an IMAP server says, on its own: nothing here is shared with the code that writes it. Stricter than RFC
// 9051 where our server never needs the freedom: one space between items, none beside parentheses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postrider::fuzz {

/// One item of a response. An atom has its brackets: "BODY[HEADER.FIELDS (From)]<0>".
struct Item {
  enum class Kind { atom, string, list };
  Kind kind = Kind::atom;
  std::string text;  // of a string: what it means
  std::vector<Item> items;
  /// Digits and nothing else, within 64 bits.
  std::optional<uint64_t> number() const;
};

struct Response {
  enum class Kind { tagged, untagged, continuation };
  Kind kind = Kind::untagged;
  std::string tag;          // of a tagged one
  std::string status;       // OK, NO, BAD, BYE; empty: data
  std::string code, text;   // of a status
  std::vector<Item> items;  // of data: all after the "*"
};

/// Takes one response off the front of a stream. Nothing, and the stream as it was: more has to come. Aborts on what is
/// no response.
std::optional<Response> take_response(std::string_view& stream);

/// Aborts unless all of text is items, as in a FETCH answer: "(\"a\" NIL)(1 2)".
std::vector<Item> must_be_items(std::string_view text);

}  // namespace postrider::fuzz
