#include "common/config/policy_values.h"

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider::config {
namespace {

constexpr size_t kMaxRates = 4;
constexpr size_t kMaxZones = 20;
constexpr int64_t kMaxPer = 86'400;

// RFC 5782 wants 127.0.0.2 and above; lists say with 127.255.255.* that they do not answer this resolver.
const std::vector<std::string>& usual_codes() {
  static const std::vector<std::string> codes{"127.0.0.2/31",  "127.0.0.4/30",  "127.0.0.8/29",   "127.0.0.16/28",
                                              "127.0.0.32/27", "127.0.0.64/26", "127.0.0.128/25", "127.0.1.0/24"};
  return codes;
}

}  // namespace

Result<std::vector<Rate>> parse_rates(const std::vector<std::string>& texts) {
  std::vector<Rate> rates;
  if (texts.size() > kMaxRates) return failure(fmt::format("takes {} rates at most.", kMaxRates));
  for (const std::string& text : texts) {
    const size_t slash = text.find('/');
    const auto count = parse_number(trim(std::string_view(text).substr(0, slash)));
    const auto per =
        slash == std::string::npos ? std::nullopt : parse_duration(trim(std::string_view(text).substr(slash + 1)));
    const auto seconds = per ? std::chrono::duration_cast<Seconds>(*per) : Seconds(0);
    if (!count || *count == 0 || *count > 1'000'000'000 || seconds.count() < 1 || seconds.count() > kMaxPer) {
      return failure(fmt::format("\"{}\" is no rate: write it as 1000/1h, for a day at most.", text));
    }
    rates.push_back({*count, seconds});
  }
  return rates;
}

Result<std::vector<ListZone>> parse_list_zones(const std::vector<std::string>& texts) {
  std::vector<ListZone> zones;
  if (texts.size() > kMaxZones) return failure(fmt::format("takes {} zones at most.", kMaxZones));
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    ListZone zone;
    zone.name = lower(trim(std::string_view(text).substr(0, equals)));
    std::vector<std::string> codes;
    std::string_view rest =
        equals == std::string::npos ? std::string_view() : trim(std::string_view(text).substr(equals + 1));
    while (!rest.empty()) {
      const auto code = rest.substr(0, rest.find(' '));
      codes.emplace_back(code);
      rest = trim(rest.substr(code.size()));
    }
    auto set = NetworkSet::parse(codes.empty() ? usual_codes() : codes);
    if (!set) return tl::unexpected(set.error());
    if (zone.name.empty() || zone.name.find_first_of(" /:") != std::string::npos ||
        zone.name.find('.') == std::string::npos) {
      return failure(fmt::format("\"{}\" is no zone of DNS, such as \"bl.example.org\".", text));
    }
    zone.codes = std::move(*set);
    zones.push_back(std::move(zone));
  }
  return zones;
}

}  // namespace postrider::config
