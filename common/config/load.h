// Where the configuration comes from: defaults, then the TOML file, then the environment.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/config/config.h"

namespace postrider::config {

constexpr std::string_view kDefaultFile = "/etc/postrider/config.toml";
constexpr size_t kMaxFileSize = 1 << 20;  // octets

/// Reads one variable of the environment; nothing where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

struct LoadOptions {
  std::string file;   // empty: STATE/config.toml if state is given and it is there, else kDefaultFile if it is there
  std::string state;  // not empty: this state folder, whatever the file and the environment say
  Environment environment = process_environment();
};

/// All of it: the file, the environment, what depends on the system, validation. The error is a sentence with file,
/// line and column, or with the key.
Result<Config> load(const LoadOptions& options);
/// The file that load() reads; empty: none.
std::string file_of(const LoadOptions& options);

// The steps, for tests and for `mailctl config check`.
/// name is for messages. Unknown keys are refused.
Result<void> apply_toml(std::string_view text, const std::string& name, Config& config);
Result<void> apply_environment(const Environment& environment, Config& config);
/// Fills in what depends on the system and on other keys: host name, paths in the state folder.
void complete(Config& config);
Result<void> validate(const Config& config);

/// The effective configuration as a TOML file.
std::string show(const Config& config);
/// docs/configuration.md.
std::string document();

}  // namespace postrider::config
