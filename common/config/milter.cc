#include "common/config/milter.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/config/values.h"

namespace postrider::config {
namespace {

constexpr size_t kMaxName = 64;

Result<void> set_option(MilterTarget& target, std::string_view option) {
  const size_t equals = option.find('=');
  const auto key = option.substr(0, equals);
  const auto value = equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (key == "name" && !value.empty() && value.size() <= kMaxName) {
    target.name = value;
  } else if (key == "on_failure" && (value == "tempfail" || value == "accept" || value == "reject")) {
    target.on_failure = value;
  } else if (key == "mail" && value == "incoming") {
    target.mail = MilterTarget::Mail::incoming;
  } else if (key == "mail" && value == "submitted") {
    target.mail = MilterTarget::Mail::submitted;
  } else if (key == "mail" && value == "all") {
    target.mail = MilterTarget::Mail::all;
  } else {
    return failure(fmt::format(
        "\"{}\" is none of name=..., on_failure=tempfail|accept|reject, mail=incoming|submitted|all.", option));
  }
  return {};
}

}  // namespace

Result<MilterTarget> parse_milter(std::string_view text) {
  text = trim(text);
  auto place = text.substr(0, text.find(' '));
  auto options = trim(text.substr(place.size()));
  MilterTarget target;
  if (place.starts_with("unix:/")) {
    target.path = place.substr(5);
  } else if (place.starts_with("inet:")) {
    auto endpoint = parse_endpoint(place.substr(5));
    if (!endpoint) return tl::unexpected(endpoint.error());
    target.host = std::move(endpoint->host);
    target.port = endpoint->port;
  } else {
    return failure(fmt::format("\"{}\" is no filter: write it as unix:/path/of/its/socket or inet:host:port.", text));
  }
  target.name = place;
  while (!options.empty()) {
    const auto option = options.substr(0, options.find(' '));
    if (auto set = set_option(target, option); !set) return tl::unexpected(set.error());
    options = trim(options.substr(option.size()));
  }
  return target;
}

Result<std::vector<MilterTarget>> parse_milters(const std::vector<std::string>& texts) {
  std::vector<MilterTarget> targets;
  for (const std::string& text : texts) {
    auto target = parse_milter(text);
    if (!target) return tl::unexpected(target.error());
    targets.push_back(std::move(*target));
  }
  return targets;
}

}  // namespace postrider::config
