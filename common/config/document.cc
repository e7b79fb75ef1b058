// The configuration as text for people: the effective values, and the reference of all keys.
#include <fmt/format.h>

#include "common/config/keys.h"
#include "common/config/load.h"

namespace postrider::config {
namespace {

std::string_view section_of(const Key& key) {
  const size_t dot = key.name.find('.');
  return dot == std::string_view::npos ? key.name : key.name.substr(0, dot);
}

constexpr std::string_view kIntroduction = R"(# Configuration

One TOML file serves `mta`, `imapd` and `mailctl`: `/etc/postrider/config.toml`, or the one that `--config` names. Every key
has a default, so the file may be empty or missing. A key that does not exist is refused with file, line and column.

Each key can be set in the environment too, which wins over the file: `smtp.port` is `POSTRIDER_SMTP_PORT`. Lists are
separated by commas there (`POSTRIDER_QUEUE_RETRY=1m,5m,1h`), and tables are written as pairs
(`POSTRIDER_ROUTES=example.net=mx.internal:25,example.com=192.0.2.7:25`).

Durations are written as `"500ms"`, `"90s"`, `"5m"`, `"4h"`, `"14d"` or `"1h30m"`; sizes as `"64KiB"`, `"50MiB"`, `"2GiB"` or a
number of octets. *STATE* stands for the value of `server.state`.

`mailctl config check` says what is wrong with a file, `mailctl config show` prints the values in effect, and `mailctl config
document` printed this page. A daemon reads its configuration when it starts and on SIGHUP; addresses, ports, `server.user` and
the numbers of threads are fixed until it is started again.
)";

}  // namespace

std::string show(const Config& config) {
  std::string out;
  std::string_view section;
  for (const Key& key : keys()) {
    const size_t dot = key.name.find('.');
    if (section_of(key) != section) {
      section = section_of(key);
      out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section);
    }
    if (dot != std::string_view::npos) {
      out += fmt::format("{} = {}\n", key.name.substr(dot + 1), format_value(key, config));
      continue;
    }
    for (const auto& [domain, value] : key.name == "routes" ? config.routes : config.limits)
      out += fmt::format("{} = {}\n", toml_string(domain), toml_string(value));
  }
  return out;
}

std::string document() {
  std::string out(kIntroduction);
  const Config defaults;
  std::string_view section;
  for (const Key& key : keys()) {
    if (section_of(key) != section) {
      section = section_of(key);
      out += fmt::format("\n## {}\n\n| Key | Default | Meaning |\n|---|---|---|\n", section);
    }
    const std::string value =
        key.default_text.empty() ? fmt::format("`{}`", format_value(key, defaults)) : std::string(key.default_text);
    out += fmt::format("| `{}` | {} | {} |\n", key.name, value, key.sentence);
  }
  return out;
}

}  // namespace postrider::config
