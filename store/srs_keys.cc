#include "store/srs_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "common/base/base64.h"
#include "common/base/log.h"
#include "common/base/number.h"
#include "common/base/random.h"
#include "store/small_file.h"

namespace postrider::store {
namespace {

constexpr size_t kKeyOctets = 32;
constexpr std::string_view kComment =
    "# Keys of the addresses (SRS) under which forwarded mail leaves: keep them secret. mta writes this file.\n";

struct DatedKey {
  UnixTime created = 0;
  std::string key;
};

std::vector<DatedKey> parse(std::string_view text) {
  std::vector<DatedKey> keys;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t space = line.find(' ');
    if (line.starts_with('#') || space == std::string_view::npos) continue;
    const auto created = parse_number(line.substr(0, space));
    auto key = base64_decode(line.substr(space + 1));
    if (created && key && key->size() == kKeyOctets) keys.push_back({static_cast<UnixTime>(*created), std::move(*key)});
  }
  return keys;
}

}  // namespace

std::vector<std::string> SrsKeys::load(UnixTime now) const {
  std::vector<DatedKey> keys = parse(read_small_file(path_));
  if (keys.empty() || keys.front().created + kSrsKeyLife <= now) {
    std::vector<DatedKey> fresh = keys;
    fresh.insert(fresh.begin(), {now, random_bytes(kKeyOctets)});
    // A key is of no use when the one that followed it has been there for long.
    while (fresh.size() > 1 && fresh[fresh.size() - 2].created + kSrsKeyKept <= now) fresh.pop_back();
    std::string text(kComment);
    for (const DatedKey& one : fresh) text += fmt::format("{} {}\n", one.created, base64_encode(one.key));
    try {
      write_small_file(path_, text, 0600);
      flush_folder(std::filesystem::path(path_).parent_path());
      keys = std::move(fresh);
    } catch (const std::system_error& error) {
      if (keys.empty()) throw;
      log_error("srs_key", {{"reason", error.what()}});  // the old one still does
    }
  }
  std::vector<std::string> plain;
  for (DatedKey& one : keys) plain.push_back(std::move(one.key));
  return plain;
}

}  // namespace postrider::store
