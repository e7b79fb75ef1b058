#include "common/mailauth/dns.h"

#include "common/base/ascii.h"

namespace postrider {
namespace {

constexpr size_t kMaxName = 253;
constexpr size_t kMaxLabel = 63;

const DnsAnswer kNoSuchName = [] {
  DnsAnswer answer;
  answer.status = DnsAnswer::Status::no_domain;
  return answer;
}();

const DnsAnswer kGivenUp = [] {
  DnsAnswer answer;
  answer.reason = "no answer in time";
  return answer;
}();

const DnsAnswer kTooMany = [] {
  DnsAnswer answer;
  answer.reason = "too many questions for one message";
  return answer;
}();

}  // namespace

std::string parse_txt(std::string_view rdata) {
  std::string text;
  while (!rdata.empty()) {
    const size_t size = static_cast<unsigned char>(rdata.front());
    text += rdata.substr(1, size);
    rdata.remove_prefix(std::min(1 + size, rdata.size()));
  }
  return text;
}

std::optional<std::string> parse_name(std::string_view rdata) {
  std::string name;
  while (!rdata.empty() && rdata.front() != '\0') {
    const size_t size = static_cast<unsigned char>(rdata.front());
    const std::string_view label = rdata.substr(1, size);
    if (size > kMaxLabel || label.size() != size) return std::nullopt;
    const bool printable =
        std::all_of(label.begin(), label.end(), [](char c) { return c > ' ' && c < 0x7f && c != '.'; });
    if (!printable) return std::nullopt;
    if (!name.empty()) name += '.';
    name += lower(label);
    rdata.remove_prefix(1 + size);
  }
  if (rdata.size() != 1 || name.empty() || name.size() > kMaxName) return std::nullopt;
  return name;
}

bool is_askable(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (;;) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabel || label.find('\0') != std::string_view::npos) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

const DnsAnswer* DnsLookups::find(std::string_view name, DnsType type) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (!is_askable(name)) return &kNoSuchName;
  DnsQuestion question{lower(name), type};
  if (auto known = known_.find(question); known != known_.end()) return known->second.get();
  if (cache_) {
    if (Answer answer = cache_(question))
      return known_.emplace(std::move(question), std::move(answer)).first->second.get();
  }
  if (given_up_) return &kGivenUp;
  if (asked_ >= kMaxDnsQuestions) return &kTooMany;
  if (missing_.insert(std::move(question)).second) ++asked_;
  return nullptr;
}

std::vector<DnsQuestion> DnsLookups::take_missing() {
  std::vector<DnsQuestion> questions(missing_.begin(), missing_.end());
  missing_.clear();
  return questions;
}

}  // namespace postrider
