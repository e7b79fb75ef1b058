#include "common/config/route.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/config/values.h"

namespace postrider::config {
namespace {

constexpr std::array kTlsLevels = {std::pair{TlsLevel::opportunistic, std::string_view("opportunistic")},
                                   std::pair{TlsLevel::encrypted, std::string_view("encrypted")},
                                   std::pair{TlsLevel::verified, std::string_view("verified")}};
constexpr size_t kMaxSocketPath = 107;  // octets that a sockaddr_un has room for

std::string_view prefix_of(RouteTarget::Protocol protocol) {
  switch (protocol) {
    case RouteTarget::Protocol::smtp:
      return "";
    case RouteTarget::Protocol::smtps:
      return "smtps:";
    case RouteTarget::Protocol::lmtp:
      return "lmtp:";
  }
  return "";
}

}  // namespace

Result<RouteTarget> parse_route(std::string_view text) {
  text = trim(text);
  RouteTarget target;
  if (istarts_with(text, "smtps:")) target.protocol = RouteTarget::Protocol::smtps;
  if (istarts_with(text, "lmtp:")) target.protocol = RouteTarget::Protocol::lmtp;
  text.remove_prefix(prefix_of(target.protocol).size());
  if (target.protocol == RouteTarget::Protocol::smtp && istarts_with(text, "smtp:")) text.remove_prefix(5);
  if (const size_t space = text.find(' '); space != std::string_view::npos) {
    constexpr std::string_view kTls = "tls=";
    const std::string_view option = trim(text.substr(space));
    if (!option.starts_with(kTls))
      return failure(fmt::format("\"{}\" is no option of a route: write tls=verified or another level.", option));
    auto level = parse_tls_level(option.substr(kTls.size()));
    if (!level) return failure("tls " + level.error().message);
    target.tls = *level;
    text = text.substr(0, space);
  }
  if (text.starts_with('/')) {
    if (target.protocol != RouteTarget::Protocol::lmtp) {
      return failure(
          fmt::format("\"{}\" is a Unix socket, over which only LMTP goes: write it as lmtp:{}.", text, text));
    }
    if (text.size() > kMaxSocketPath) {
      return failure(fmt::format("The path of a Unix socket has at most {} characters.", kMaxSocketPath));
    }
    target.path = text;
    return target;
  }
  auto endpoint = parse_endpoint(text);
  if (!endpoint) return tl::unexpected(endpoint.error());
  target.host = lower(endpoint->host);
  target.port = endpoint->port;
  return target;
}

std::string to_string(const RouteTarget& target) {
  std::string_view prefix = prefix_of(target.protocol);
  const std::string option = target.tls ? fmt::format(" tls={}", to_string(*target.tls)) : std::string();
  if (!target.path.empty()) return fmt::format("{}{}{}", prefix, target.path, option);
  bool brackets = target.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}{}:{}{}", prefix, brackets ? "[" : "", target.host, brackets ? "]" : "", target.port,
                     option);
}

Result<TlsLevel> parse_tls_level(std::string_view text) {
  for (const auto& [level, name] : kTlsLevels) {
    if (text == name) return level;
  }
  return failure(
      fmt::format("must be \"opportunistic\", \"encrypted\" or \"verified\"; \"{}\" is none of them.", text));
}

std::string_view to_string(TlsLevel level) {
  return kTlsLevels[static_cast<size_t>(level)].second;
}

Result<DestinationLimits> parse_limits(std::string_view text) {
  DestinationLimits limits;
  const std::array members = {std::pair{std::string_view("connections"), &limits.connections},
                              std::pair{std::string_view("messages_per_connection"), &limits.messages_per_connection},
                              std::pair{std::string_view("messages_per_minute"), &limits.messages_per_minute}};
  std::string_view rest = trim(text);
  while (!rest.empty()) {
    std::string_view word = rest.substr(0, rest.find(' '));
    rest = trim(rest.substr(word.size()));
    const size_t equals = word.find('=');
    auto value = equals == std::string_view::npos ? std::nullopt : parse_number(word.substr(equals + 1));
    bool known = false;
    for (const auto& [name, member] : members) {
      if (word.substr(0, equals) != name || !value || *value == 0 || *value > 1'000'000) continue;
      *member = *value;
      known = true;
    }
    if (!known) {
      return failure(
          fmt::format("\"{}\" is no limit: write connections=4 messages_per_connection=20 "
                      "messages_per_minute=300, or some of these, each from 1 to 1000000.",
                      word));
    }
  }
  return limits;
}

}  // namespace postrider::config
