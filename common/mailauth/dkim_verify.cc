#include "common/mailauth/dkim_verify.h"

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/header.h"

namespace postrider::dkim {
namespace {

constexpr size_t kMark = 8;  // octets of b= in a result

std::string mark_of(std::string_view raw) {
  const size_t colon = std::min(raw.find(':') + 1, raw.size());
  const auto tags = parse_tags(raw.substr(colon));
  const Tag* tag = tags ? find_tag(*tags, "b") : nullptr;
  return tag == nullptr ? std::string() : without_blanks(tag->value).substr(0, kMark);
}

}  // namespace

Verification::Verification(std::string_view head, UnixTime now) : head_(head) {
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    if (!iequals(field->name, "DKIM-Signature")) continue;
    if (results_.size() == kMaxSignatures) break;
    SignatureResult& result = results_.emplace_back();
    result.mark = mark_of(field->raw);
    Candidate candidate;
    candidate.result = results_.size() - 1;
    const auto parsed = parse_signature(field->raw, candidate.signature);
    result.domain = candidate.signature.domain;
    result.selector = candidate.signature.selector;
    if (!parsed) {
      judge(candidate, {Verdict::permerror, parsed.error().message});
      continue;
    }
    result.algorithm = to_string(candidate.signature.algorithm);
    if (candidate.signature.expires && *candidate.signature.expires < now) {
      judge(candidate, {Verdict::fail, "the signature has expired"});
      continue;
    }
    candidates_.push_back(std::move(candidate));
  }
}

void Verification::judge(const Candidate& candidate, Finding finding) {
  results_[candidate.result].verdict = finding.verdict;
  results_[candidate.result].reason = std::move(finding.reason);
}

bool Verification::find_keys(DnsLookups& lookups, BodyHashes& bodies) {
  std::vector<std::optional<FoundKey>> found;
  for (const Candidate& candidate : candidates_) found.push_back(find_key(candidate.signature, lookups));
  if (std::find(found.begin(), found.end(), std::nullopt) != found.end()) return false;
  std::vector<Candidate> alive;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    results_[candidate.result].testing = found[i]->testing;
    if (found[i]->key == nullptr) {
      judge(candidate, std::move(found[i]->wrong));
      continue;
    }
    candidate.key = std::move(found[i]->key);
    candidate.body = bodies.want(candidate.signature.body, candidate.signature.length);
    alive.push_back(std::move(candidate));
  }
  candidates_ = std::move(alive);
  return true;
}

void Verification::finish(const BodyHashes& bodies) {
  for (const Candidate& candidate : candidates_) {
    judge(candidate, check_signature(candidate.signature, candidate.key, head_, bodies, candidate.body));
  }
  candidates_.clear();
}

}  // namespace postrider::dkim
