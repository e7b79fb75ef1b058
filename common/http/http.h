// The little of HTTP/1.1 (RFC 9112) that policies and reports need: one request asked, one answered, then the
// connection ends. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace postrider::http {

constexpr size_t kMaxHead = 16 << 10;  // octets of a request or of a response's header fields
constexpr size_t kMaxChunkLine = 256;  // of a chunk's size and its extensions

struct Request {
  std::string method;
  std::string path;  // as it was sent, without a query
  std::string host;  // lower case, without a port
};
/// octets: what has come so far. Nothing: more is needed. The error says what is wrong, and that is the end of it.
Result<std::optional<Request>> parse_request(std::string_view octets);
std::string format_request(const std::string& host, const std::string& path);
std::string format_post(const std::string& host, const std::string& path, std::string_view type, std::string_view body);

struct Response {
  int status = 0;
  std::string type;  // of its Content-Type, lower case, without parameters
  std::string body;
};
/// octets: all that has come so far; ended: and nothing will follow. Nothing: more is needed. A body of more than
/// max_body octets is an error, and so is one that was cut off.
Result<std::optional<Response>> parse_response(std::string_view octets, bool ended, size_t max_body);
/// reason: the phrase behind the status. The connection is to be closed after it.
std::string format_response(int status, std::string_view reason, std::string_view type, std::string_view body);

}  // namespace postrider::http
