#include "common/http/http.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::http {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

/// The first line and the fields of a message; the blank line is not in it.
struct Head {
  std::string_view first, fields;
  size_t size = 0;  // with the blank line
};

Result<std::optional<Head>> find_head(std::string_view octets) {
  const size_t end = octets.substr(0, kMaxHead).find(kHeadEnd);
  if (end == std::string_view::npos) {
    if (octets.size() >= kMaxHead) return failure("the header fields are too long");
    return std::nullopt;
  }
  const std::string_view text = octets.substr(0, end + 2);
  const size_t line = text.find("\r\n");
  return Head{text.substr(0, line), text.substr(line + 2), end + kHeadEnd.size()};
}

/// The first field of that name.
std::optional<std::string_view> find_field(const Head& head, std::string_view name) {
  for (std::string_view rest = head.fields; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(line.size() + 2);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && iequals(line.substr(0, colon), name)) return trim(line.substr(colon + 1));
  }
  return std::nullopt;
}

/// RFC 9112 7.1. Nothing: more is needed.
Result<std::optional<std::string>> parse_chunks(std::string_view octets, size_t max_body) {
  std::string body;
  for (;;) {
    const size_t end = octets.substr(0, kMaxChunkLine).find("\r\n");
    if (end == std::string_view::npos) {
      if (octets.size() >= kMaxChunkLine) return failure("a chunk has no size");
      return std::nullopt;
    }
    const std::string_view line = octets.substr(0, end);
    const std::string_view digits = trim(line.substr(0, line.find(';')));
    uint64_t size = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    if (error != std::errc() || rest != digits.data() + digits.size()) return failure("a chunk has no size");
    octets.remove_prefix(end + 2);
    if (size == 0) return body;
    if (size > max_body - body.size()) return failure("the body is too long");
    if (octets.size() < size + 2) return std::nullopt;
    body.append(octets.substr(0, size));
    if (octets.substr(size, 2) != "\r\n") return failure("a chunk does not end where it says");
    octets.remove_prefix(size + 2);
  }
}

Result<std::optional<std::string>> parse_body(const Head& head, std::string_view octets, bool ended, size_t max_body) {
  if (auto coding = find_field(head, "Transfer-Encoding")) {
    if (!iequals(*coding, "chunked")) return failure("the body has an encoding that was not asked for");
    return parse_chunks(octets, max_body);
  }
  std::optional<uint64_t> length;
  if (auto text = find_field(head, "Content-Length")) {
    length = parse_number(*text);
    if (!length) return failure("Content-Length is no number");
  }
  if (std::max<uint64_t>(length.value_or(0), length ? 0 : octets.size()) > max_body)
    return failure("the body is too long");
  if (length && octets.size() >= *length) return std::string(octets.substr(0, *length));
  if (!length && ended) return std::string(octets);
  return std::nullopt;
}

}  // namespace

Result<std::optional<Request>> parse_request(std::string_view octets) {
  auto found = find_head(octets);
  if (!found) return tl::unexpected(found.error());
  if (!*found) return std::nullopt;
  const Head& head = **found;
  const size_t method = head.first.find(' '), target = head.first.rfind(' ');
  if (method == std::string_view::npos || target == method) return failure("the request line is none");
  if (!head.first.substr(target + 1).starts_with("HTTP/1.")) return failure("only HTTP/1 is spoken here");
  Request request;
  request.method = head.first.substr(0, method);
  request.path = head.first.substr(method + 1, target - method - 1);
  request.path.resize(std::min(request.path.size(), request.path.find('?')));
  request.host = lower(find_field(head, "Host").value_or(""));
  request.host.resize(std::min(request.host.size(), request.host.rfind(':')));
  if (request.host.ends_with('.')) request.host.pop_back();
  return request;
}

std::string format_request(const std::string& host, const std::string& path) {
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Postrider\r\nAccept: text/plain\r\n"
      "Connection: close\r\n\r\n",
      path, host);
}

std::string format_post(const std::string& host, const std::string& path, std::string_view type,
                        std::string_view body) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Postrider\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      path, host, type, body.size(), body);
}

Result<std::optional<Response>> parse_response(std::string_view octets, bool ended, size_t max_body) {
  auto found = find_head(octets);
  if (!found) return tl::unexpected(found.error());
  if (!*found) {
    if (ended) return failure("the answer was cut off");
    return std::nullopt;
  }
  const Head& head = **found;
  Response response;
  const auto code = head.first.starts_with("HTTP/1.") && head.first.size() >= 12 ? parse_number(head.first.substr(9, 3))
                                                                                 : std::nullopt;
  if (!code) return failure("the answer is no HTTP");
  response.status = static_cast<int>(*code);
  const std::string_view type = find_field(head, "Content-Type").value_or("");
  response.type = lower(trim(type.substr(0, type.find(';'))));
  if (response.status != 200) return response;  // what such a body says interests nobody
  auto body = parse_body(head, octets.substr(head.size), ended, max_body);
  if (!body) return tl::unexpected(body.error());
  if (!*body) {
    if (ended) return failure("the answer was cut off");
    return std::nullopt;
  }
  response.body = std::move(**body);
  return response;
}

std::string format_response(int status, std::string_view reason, std::string_view type, std::string_view body) {
  return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status,
                     reason, type, body.size(), body);
}

}  // namespace postrider::http
