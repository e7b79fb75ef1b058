#include "common/mailauth/mta_sts.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/address.h"
#include "common/mailauth/dkim_tags.h"

namespace postrider::sts {
namespace {

constexpr std::string_view kVersion = "STSv1";
constexpr size_t kMaxId = 32;
constexpr Mode kModes[] = {Mode::none, Mode::testing, Mode::enforce};

bool is_host_pattern(std::string_view text) {
  if (text.starts_with("*.")) text.remove_prefix(2);
  return is_domain(text, Utf8::refused);
}

struct Reader {
  Policy policy;
  bool version = false, mode = false, age = false;

  bool take(std::string_view key, std::string_view value);
};

/// The first of a key that may be there once counts; keys that are not known are passed over (3.2).
bool Reader::take(std::string_view key, std::string_view value) {
  if (key == "version") {
    if (value != kVersion) return false;
    version = true;
  } else if (key == "mode" && !mode) {
    const auto found =
        std::find_if(std::begin(kModes), std::end(kModes), [&](Mode one) { return to_string(one) == value; });
    if (found == std::end(kModes)) return false;
    mode = true;
    policy.mode = *found;
  } else if (key == "max_age" && !age) {
    const auto seconds = parse_number(value);
    if (!seconds) return false;
    age = true;
    policy.max_age = Seconds(std::min<uint64_t>(*seconds, static_cast<uint64_t>(kMaxAge.count())));
  } else if (key == "mx") {
    if (!is_host_pattern(value) || policy.hosts.size() == kMaxHosts) return false;
    policy.hosts.push_back(lower(value));
  }
  return true;
}

}  // namespace

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::none:
      return "none";
    case Mode::testing:
      return "testing";
    case Mode::enforce:
      break;
  }
  return "enforce";
}

std::optional<std::string> policy_id(const DnsAnswer& answer) {
  std::optional<std::string> id;
  for (const std::string& rdata : answer.records) {
    const std::string text = parse_txt(rdata);
    const auto tags = dkim::parse_tags(text);
    if (!tags || tags->empty() || tags->front().name != "v" || tags->front().value != kVersion) continue;
    const auto* tag = dkim::find_tag(*tags, "id");
    const bool good = tag != nullptr && !tag->value.empty() && tag->value.size() <= kMaxId &&
                      std::all_of(tag->value.begin(), tag->value.end(), is_alnum);
    if (!good || id) return std::nullopt;  // several are as good as none
    id = std::string(tag->value);
  }
  return id;
}

std::string own_policy(std::string_view mode, const std::vector<std::string>& hosts, const std::string& hostname,
                       Seconds max_age) {
  std::string text = fmt::format("version: {}\r\nmode: {}\r\n", kVersion, mode);
  for (const std::string& host : hosts) text += fmt::format("mx: {}\r\n", host);
  if (hosts.empty()) text += fmt::format("mx: {}\r\n", hostname);
  return text + fmt::format("max_age: {}\r\n", max_age.count());
}

std::string own_policy_id(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  std::string id;
  for (size_t i = 0; i < kMaxId / 2; ++i) id += fmt::format("{:02x}", hash[i]);
  return id;
}

std::string policy_url(const std::string& domain) {
  return fmt::format("https://mta-sts.{}/.well-known/mta-sts.txt", domain);
}

Result<Policy> parse_policy(std::string_view text) {
  if (text.size() > kMaxPolicy) return failure("the policy is too long");
  Reader reader;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      if (trim(line).empty()) continue;
      return failure("a line of the policy has no colon");
    }
    if (!reader.take(trim(line.substr(0, colon)), trim(line.substr(colon + 1)))) {
      return failure(fmt::format("the policy has an error at \"{}\"", trim(line).substr(0, 100)));
    }
  }
  if (!reader.version || !reader.mode || !reader.age) return failure("the policy lacks version, mode or max_age");
  if (reader.policy.mode != Mode::none && reader.policy.hosts.empty()) return failure("the policy names no host");
  return reader.policy;
}

bool names_host(const Policy& policy, std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const size_t dot = std::min(host.find('.'), host.size());
  return std::any_of(policy.hosts.begin(), policy.hosts.end(), [&](const std::string& pattern) {
    if (!pattern.starts_with("*.")) return iequals(pattern, host);
    return dot > 0 && iequals(std::string_view(pattern).substr(1), host.substr(dot));
  });
}

}  // namespace postrider::sts
