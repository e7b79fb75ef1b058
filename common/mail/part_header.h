// What the MIME fields of one header block say (RFC 2045, 2046, 2183, 3282, 2557, 1864).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postrider {

constexpr size_t kMaxParameters = 200;  // parameters of one field that are kept
constexpr size_t kMaxMimeToken =
    127;  // octets of a type, subtype, encoding or charset (RFC 6838 4.2); longer is no token
constexpr size_t kMaxBoundary = 1'000;  // octets of a boundary; RFC 2046 has 70. A longer one is none

/// The body parameter list of a part that declares no type (RFC 2045 5.2).
constexpr std::string_view kAsciiParameters = "(\"CHARSET\" \"US-ASCII\")";

struct MimeParameter {
  std::string name;   // as given
  std::string value;  // unquoted; RFC 2231 pieces and encodings as they are
};

struct PartHeader {
  std::string type = "text";      // lower case
  std::string subtype = "plain";  // lower case
  std::string charset;            // lower case; empty: none
  std::string encoding;           // lower case; empty: none
  std::string boundary;           // empty: none that can be used

  // Values of BODYSTRUCTURE, ready to send.
  std::string parameters = "NIL";         // body parameter list
  std::string identity = "NIL NIL";       // Content-ID and Content-Description
  std::string md5 = "NIL";                // Content-MD5
  std::string extension = "NIL NIL NIL";  // Content-Disposition, Content-Language, Content-Location
};

/// Interprets a header block. in_digest: the part stands in a multipart/digest, where message/rfc822 is the default
/// (RFC 2046 5.1.5). Without a Content-Type that can be made out the part is text/plain in US-ASCII (RFC 2045 5.2).
PartHeader read_part_header(std::string_view header_block, bool in_digest);

}  // namespace postrider
