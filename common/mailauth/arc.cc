#include "common/mailauth/arc.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/header.h"
#include "common/mailauth/auth_results.h"

namespace postrider::arc {
namespace {

using dkim::Canon;
using dkim::SignatureKind;

/// "i=1; mx.example.org; spf=pass": the instance, and where the rest begins.
std::optional<unsigned> instance_of_results(std::string_view value, std::string_view& rest) {
  const size_t end = value.find(';');
  const auto tags = dkim::parse_tags(value.substr(0, end));
  if (end == std::string_view::npos || !tags || tags->size() != 1 || tags->front().name != "i") return std::nullopt;
  rest = value.substr(end + 1);
  return dkim::parse_instance(tags->front().value);
}

std::string tag_of(std::string_view raw, std::string_view name) {
  const auto tags = dkim::parse_tags(raw.substr(std::min(raw.find(':') + 1, raw.size())));
  const dkim::Tag* tag = tags ? dkim::find_tag(*tags, name) : nullptr;
  return tag == nullptr ? std::string() : std::string(tag->value);
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "none";
    case Verdict::pass:
      return "pass";
    case Verdict::fail:
      break;
  }
  return "fail";
}

Chain::Chain(std::string_view head, UnixTime now) : head_(head) {
  gather();
  if (verdict_ == Verdict::none && !sets_.empty()) check_structure(now);
}

void Chain::fail(std::string reason) {
  if (verdict_ == Verdict::fail) return;
  verdict_ = Verdict::fail;
  reason_ = std::move(reason);
}

void Chain::gather() {
  HeaderReader reader(head_);
  while (auto field = reader.next()) {
    if (field->name.size() < 4 || !iequals(field->name.substr(0, 4), "ARC-")) continue;
    put(field->name, field->value, field->raw);
    if (verdict_ == Verdict::fail) return;
  }
}

/// A field into the place that its instance says.
void Chain::put(std::string_view name, std::string_view value, std::string_view raw) {
  std::string_view Set::*place = nullptr;
  std::string_view recorded;
  std::optional<unsigned> instance;
  if (iequals(name, "ARC-Authentication-Results")) {
    place = &Set::results;
    instance = instance_of_results(value, recorded);
  } else if (iequals(name, "ARC-Message-Signature") || iequals(name, "ARC-Seal")) {
    place = name.size() == 8 ? &Set::seal : &Set::message;
    instance = dkim::parse_instance(tag_of(raw, "i"));
  } else {
    return;
  }
  if (!instance) return fail("a field of it has no instance from 1 to 50");
  if (sets_.size() < *instance) sets_.resize(*instance);
  Set& set = sets_[*instance - 1];
  if (!(set.*place).empty()) return fail(fmt::format("its set {} has a field twice", *instance));
  set.*place = raw;
  if (place == &Set::results) set.recorded = recorded;
}

/// What the fields themselves say (5.2, steps 2 and 3).
void Chain::check_structure(UnixTime now) {
  for (const Set& set : sets_) {
    if (set.results.empty() || set.message.empty() || set.seal.empty())
      return fail(fmt::format("its set {} is not whole", &set - sets_.data() + 1));
  }
  if (iequals(tag_of(sets_.back().seal, "cv"), "fail")) return fail("the last sealer found it broken");
  for (Set& set : sets_) {
    const auto instance = &set - sets_.data() + 1;
    if (!iequals(tag_of(set.seal, "cv"), instance == 1 ? "none" : "pass"))
      return fail(fmt::format("its seal {} says the wrong thing of those before", instance));
    Seal& seal = seals_.emplace_back();
    if (auto parsed = dkim::parse_signature(set.seal, seal.signature, SignatureKind::arc_seal); !parsed)
      return fail(fmt::format("its seal {} is none: {}", instance, parsed.error().message));
    set.domain = seal.signature.domain;
    set.selector = seal.signature.selector;
  }
  if (auto parsed = dkim::parse_signature(sets_.back().message, message_, SignatureKind::arc_message); !parsed)
    return fail(fmt::format("its last signature is none: {}", parsed.error().message));
  if (std::find(message_.fields.begin(), message_.fields.end(), "arc-seal") != message_.fields.end())
    return fail("its last signature covers seals");
  if (message_.expires && *message_.expires < now) return fail("its last signature has expired");
}

bool Chain::find_keys(DnsLookups& lookups, dkim::BodyHashes& bodies) {
  if (sets_.empty() || verdict_ == Verdict::fail) return true;
  bool known = true;
  const auto find = [&](const dkim::Signature& signature, dkim::Key& key) {
    auto found = dkim::find_key(signature, lookups);
    known = known && found.has_value();
    if (!found) return;
    key = std::move(found->key);
    if (key == nullptr)
      fail(fmt::format("the key {} of {}: {}", signature.selector, signature.domain, found->wrong.reason));
  };
  find(message_, message_key_);
  for (Seal& seal : seals_) find(seal.signature, seal.key);
  if (verdict_ == Verdict::fail) return true;  // the others need not be known
  if (known) body_ = bodies.want(message_.body, message_.length);
  return known;
}

void Chain::finish(const dkim::BodyHashes& bodies) {
  if (sets_.empty() || verdict_ == Verdict::fail) return;
  const dkim::Finding last = dkim::check_signature(message_, message_key_, head_, bodies, body_);
  if (last.verdict != dkim::Verdict::pass) return fail(fmt::format("its last signature fails: {}", last.reason));
  std::string covered;
  for (size_t i = 0; i < sets_.size(); ++i) check_seal(i, covered);
  if (verdict_ != Verdict::fail) verdict_ = Verdict::pass;
}

/// A seal covers the sets up to its own (5.1.1). covered: those before, in canonical form; its own is appended.
void Chain::check_seal(size_t index, std::string& covered) {
  const Set& set = sets_[index];
  covered += dkim::canonical_field(set.results, Canon::relaxed) + dkim::canonical_field(set.message, Canon::relaxed);
  const size_t before = covered.size();
  const Seal& seal = seals_[index];
  covered += dkim::canonical_field(seal.signature.field_without_b, Canon::relaxed);
  covered.resize(covered.size() - 2);
  if (!dkim::verify(seal.key, seal.signature.algorithm, covered, seal.signature.signature))
    fail(fmt::format("its seal {} does not hold", index + 1));
  covered.resize(before);
  covered += dkim::canonical_field(set.seal, Canon::relaxed);
}

namespace {

std::string domain_of(std::string_view address) {
  return lower(address.substr(address.rfind('@') + 1));
}

/// Whether what a set recorded is enough for DMARC: its verdict, or what passed and is aligned.
bool says_pass(const Set& set, const dmarc::AuthorPolicy& author) {
  spf::Judgement spf;
  std::vector<dkim::SignatureResult> signatures;
  for (const RecordedResult& one : parse_results(set.recorded)) {
    if (one.result != "pass") continue;
    if (one.method == "dmarc" && iequals(one.property("header.from"), author.domain)) return true;
    if (one.method == "spf" && !one.property("smtp.mailfrom").empty()) {
      spf.verdict = spf::Verdict::pass;
      spf.domain = domain_of(one.property("smtp.mailfrom"));
    }
    if (one.method != "dkim" || one.property("header.d").empty()) continue;
    signatures.emplace_back().verdict = dkim::Verdict::pass;
    signatures.back().domain = lower(one.property("header.d"));
  }
  return dmarc::judge(author, {spf, signatures}, 0).verdict == dmarc::Verdict::pass;
}

}  // namespace

std::optional<Testimony> find_testimony(const Chain& chain, const dmarc::AuthorPolicy& author,
                                        const std::vector<std::string>& trusted) {
  if (chain.verdict() != Verdict::pass) return std::nullopt;
  const auto is_trusted = [&](const std::string& domain) {
    return std::any_of(trusted.begin(), trusted.end(), [&](const std::string& one) { return iequals(one, domain); });
  };
  const auto& sets = chain.sets();
  for (auto set = sets.rbegin(); set != sets.rend() && is_trusted(set->domain); ++set) {
    if (!says_pass(*set, author)) continue;
    Testimony testimony{set->domain, "arc=pass"};
    for (size_t i = sets.size(); i > 0; --i)
      testimony.comment += fmt::format(" as[{0}].d={1} as[{0}].s={2}", i, sets[i - 1].domain, sets[i - 1].selector);
    return testimony;
  }
  return std::nullopt;
}

}  // namespace postrider::arc
