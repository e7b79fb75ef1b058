#include "common/config/load.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/base/ascii.h"
#include "common/config/keys.h"
#include "common/config/milter.h"
#include "common/config/policy_values.h"
#include "common/config/route.h"
#include "common/config/values.h"

namespace postrider::config {
namespace {

bool is_readable(const std::string& file) {
  return ::access(file.c_str(), F_OK) == 0;
}

Result<std::string> read_file(const std::string& name) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(name.c_str(), "rbe"), &std::fclose);
  if (!file) return failure(fmt::format("The configuration file {} cannot be opened: {}.", name, std::strerror(errno)));
  std::string text(kMaxFileSize + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return failure(fmt::format("The configuration file {} cannot be read.", name));
  if (text.size() > kMaxFileSize) return failure(fmt::format("The configuration file {} is larger than 1 MiB.", name));
  return text;
}

/// The system's name, with its domain where the resolver's files know it.
std::string system_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  if (std::strchr(name.data(), '.') != nullptr) return lower(name.data());
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = AI_CANONNAME;
  addrinfo* found = nullptr;
  std::string whole = name.data();
  if (::getaddrinfo(name.data(), nullptr, &hints, &found) == 0 && found != nullptr) {
    if (found->ai_canonname != nullptr && std::strchr(found->ai_canonname, '.') != nullptr) whole = found->ai_canonname;
    ::freeaddrinfo(found);
  }
  return lower(whole);
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.back() == '.') return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '-' || c == '.'; });
}

bool is_address(const std::string& text) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(text.c_str(), nullptr, &hints, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

Result<void> validate_listeners(const Config& config) {
  const std::pair<std::string_view, const std::string*> addresses[] = {
      {"smtp.address", &config.smtp.address},
      {"submission.address", &config.submission.address},
      {"submissions.address", &config.submissions.address},
      {"imap.address", &config.imap.address},
      {"imaps.address", &config.imaps.address},
      {"mta_sts.address", &config.mta_sts.address},
      {"metrics.address", &config.metrics.address}};
  for (const auto& [key, address] : addresses) {
    if (!is_address(*address)) {
      return failure(
          fmt::format("{} must be an address of this machine, such as \"0.0.0.0\", \"::\" or \"127.0.0.1\"; "
                      "\"{}\" is none.",
                      key, *address));
    }
  }
  return {};
}

/// Nobody else is told without being named.
Result<void> validate_metrics(const Config::Metrics& metrics) {
  auto set = NetworkSet::parse(metrics.networks);
  if (!set) return failure("metrics.networks: " + set.error().message);
  const bool loopback = metrics.address == "::1" || metrics.address.starts_with("127.");
  if (loopback || !metrics.networks.empty() || (metrics.mta_port == 0 && metrics.imapd_port == 0)) return {};
  return failure(
      fmt::format("metrics.address is {}, where others can ask: name those who may in metrics.networks, or "
                  "take 127.0.0.1.",
                  metrics.address));
}

Result<void> validate_abuse(const Config& config) {
  const std::pair<std::string_view, const std::vector<std::string>*> rates[] = {
      {"rates.account", &config.rates.account},
      {"rates.address", &config.rates.address},
      {"rates.network", &config.rates.network},
      {"rates.recipient", &config.rates.recipient}};
  for (const auto& [key, texts] : rates) {
    if (auto parsed = parse_rates(*texts); !parsed) return failure(fmt::format("{}: {}", key, parsed.error().message));
  }
  if (auto zones = parse_list_zones(config.dnsbl.zones); !zones)
    return failure("dnsbl.zones: " + zones.error().message);
  if (auto set = NetworkSet::parse(config.proxy.networks); !set)
    return failure("proxy.networks: " + set.error().message);
  return {};
}

Result<void> validate_smart_host(const Config::Relay& relay) {
  if (!relay.smart_host.empty()) {
    if (auto target = parse_route(relay.smart_host); !target)
      return failure("relay.smart_host: " + target.error().message);
  }
  if (!relay.smart_host_tls.empty()) {
    if (auto level = parse_tls_level(relay.smart_host_tls); !level) {
      return failure("relay.smart_host_tls " + level.error().message);
    }
  }
  if (relay.smart_host_user.empty() != relay.smart_host_password_file.empty()) {
    return failure("relay.smart_host_user and relay.smart_host_password_file go together: set both, or none.");
  }
  if (!relay.smart_host_user.empty() && relay.smart_host.empty()) {
    return failure("relay.smart_host_user needs relay.smart_host.");
  }
  return {};
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Result<void> apply_environment(const Environment& environment, Config& config) {
  for (const Key& key : keys()) {
    const std::string name = environment_name(key);
    auto value = environment(name);
    if (!value) continue;
    if (auto done = assign_text(key, *value, config); !done) {
      return failure(fmt::format("{} in the environment: {}", name, done.error().message));
    }
  }
  return {};
}

void complete(Config& config) {
  if (config.server.hostname.empty()) config.server.hostname = system_name();
  while (config.server.state.size() > 1 && config.server.state.back() == '/') config.server.state.pop_back();
  if (config.server.pid_directory.empty()) config.server.pid_directory = config.server.state;
  if (config.tls.certificate.empty()) config.tls.certificate = config.in_state("tls/certificate.pem");
  if (config.tls.key.empty()) config.tls.key = config.in_state("tls/key.pem");
}

Result<void> validate(const Config& config) {
  if (!is_host_name(config.server.hostname)) {
    return failure(fmt::format("server.hostname must be a host name, such as \"mail.example.org\"; \"{}\" is none.",
                               config.server.hostname));
  }
  if (config.server.state.empty()) return failure("server.state must name a folder.");
  if (!config.server.group.empty() && config.server.user.empty()) return failure("server.group needs server.user.");
  if (auto done = validate_listeners(config); !done) return done;
  if (auto done = validate_metrics(config.metrics); !done) return done;
  if (auto set = NetworkSet::parse(config.smtp.trusted_networks); !set) {
    return failure("smtp.trusted_networks: " + set.error().message);
  }
  if (auto done = validate_abuse(config); !done) return done;
  if (auto milters = parse_milters(config.milter.list); !milters) {
    return failure("milter.list: " + milters.error().message);
  }
  if (!config.login.default_domain.empty() && !is_host_name(config.login.default_domain)) {
    return failure(fmt::format("login.default_domain must be a domain; \"{}\" is none.", config.login.default_domain));
  }
  for (const std::string& domain : config.arc.trusted_sealers) {
    if (!is_host_name(domain))
      return failure(
          fmt::format("arc.trusted_sealers must be domains, such as \"lists.example.org\"; \"{}\" is none.", domain));
  }
  for (char c : config.address.separators) {
    if (is_alnum(c) || c == '@' || c == '.' || c == ' ' || is_8bit(c)) {
      return failure("address.separators must be punctuation, such as \"+\" or \"-\", and not \"@\" or \".\".");
    }
  }
  if (config.queue.retry.empty()) return failure("queue.retry must have at least one duration.");
  if (!config.system.root.empty() && config.system.root.find('@') == std::string::npos) {
    return failure(fmt::format("system.root must be a mail address, such as \"alice@example.org\"; \"{}\" is none.",
                               config.system.root));
  }
  if (!config.dns.server.empty()) {
    auto server = parse_endpoint(config.dns.server);
    if (!server) return failure("dns.server: " + server.error().message);
    if (!is_address(server->host))
      return failure("dns.server must be an address and a port, such as \"127.0.0.53:53\".");
  }
  for (const auto& [domain, target] : config.routes) {
    if (domain.empty()) return failure("routes must name a domain for each target.");
    if (auto route = parse_route(target); !route) {
      return failure(fmt::format("routes, {}: {}", domain, route.error().message));
    }
  }
  for (const auto& [domain, text] : config.limits) {
    if (auto limits = parse_limits(text); !limits) {
      return failure(fmt::format("limits, {}: {}", domain, limits.error().message));
    }
  }
  return validate_smart_host(config.relay);
}

std::string file_of(const LoadOptions& options) {
  if (!options.file.empty()) return options.file;
  if (!options.state.empty()) {
    std::string inside = options.state + "/config.toml";
    return is_readable(inside) ? inside : std::string();
  }
  return is_readable(std::string(kDefaultFile)) ? std::string(kDefaultFile) : std::string();
}

Result<Config> load(const LoadOptions& options) {
  Config config;
  if (const std::string file = file_of(options); !file.empty()) {
    auto text = read_file(file);
    if (!text) return tl::unexpected(text.error());
    if (auto done = apply_toml(*text, file, config); !done) return tl::unexpected(done.error());
  }
  if (options.environment) {
    if (auto done = apply_environment(options.environment, config); !done) return tl::unexpected(done.error());
  }
  if (!options.state.empty()) config.server.state = options.state;
  complete(config);
  if (auto done = validate(config); !done) return tl::unexpected(done.error());
  return config;
}

}  // namespace postrider::config
