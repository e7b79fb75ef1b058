// Configuration: what is read and shown is read again as the same; an error is a sentence.
#include <string>

#include "common/config/load.h"
#include "common/config/milter.h"
#include "common/config/policy_values.h"
#include "common/config/route.h"
#include "common/config/values.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

void check_file(std::string_view text) {
  Config config;
  const auto read = config::apply_toml(text, "config.toml", config);
  if (!read) {
    must(read.error().message.find('\n') == std::string::npos, "an error is one line");
    return;
  }
  const std::string shown = config::show(config);
  Config again;
  must(config::apply_toml(shown, "shown", again).has_value(), "what is shown can be read");
  must(config::show(again) == shown, "and means the same");
}

void check_values(const std::string& text) {
  if (const auto duration = config::parse_duration(text)) {
    must(config::parse_duration(config::format_duration(*duration)) == *duration, "a duration both ways");
  }
  if (const auto octets = config::parse_size(text)) {
    must(config::parse_size(config::format_size(*octets)) == *octets, "a size both ways");
  }
  if (const auto route = config::parse_route(text)) {
    const auto again = config::parse_route(config::to_string(*route));
    must(again && *again == *route, "a route both ways");
  }
  if (const auto endpoint = config::parse_endpoint(text)) must(!endpoint->host.empty(), "an endpoint has a host");
  if (const auto networks = config::NetworkSet::parse({text})) networks->contains(text);
  static_cast<void>(config::parse_rates({text}));
  static_cast<void>(config::parse_list_zones({text}));
  static_cast<void>(config::parse_milter(text));
  static_cast<void>(config::parse_limits(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  check_values(std::string(input.line()));
  check_file(input.rest());
  return 0;
}
