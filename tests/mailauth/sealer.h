// Adds sets of ARC to messages as a forwarding server does (RFC 8617 5.1), and wrong ones.
#pragma once

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/base64.h"
#include "common/mail/header.h"
#include "common/mailauth/dkim_sign.h"
#include "tests/mailauth/table.h"

namespace postrider {

class Sealer {
 public:
  /// dns: gets the keys.
  explicit Sealer(DnsTable& dns) : dns_(dns) {}

  struct Wrong {
    std::string cv;                       // instead of the right one
    std::string seal_tags, message_tags;  // besides the usual ones
    std::string names = "from:to:subject";
  };
  /// The message with one set more, whose results are recorded. Each domain has one key.
  std::string seal(const std::string& message, const std::string& domain, const std::string& recorded,
                   const Wrong& wrong) {
    const dkim::Key key = key_of(domain);
    const unsigned instance = static_cast<unsigned>(count_headers(head_of(message), "ARC-Seal")) + 1;
    const std::string results =
        fmt::format("ARC-Authentication-Results: i={}; mx.{};\r\n\t{}\r\n", instance, domain, recorded);
    std::string covered;
    for (unsigned i = 1; i < instance; ++i) {
      for (const char* name : {"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"})
        covered += dkim::canonical_field(field(message, name, i), dkim::Canon::relaxed);
    }
    const std::string signature = sign_message(message, domain, key, instance, wrong);
    covered +=
        dkim::canonical_field(results, dkim::Canon::relaxed) + dkim::canonical_field(signature, dkim::Canon::relaxed);
    const std::string cv = !wrong.cv.empty() ? wrong.cv : instance == 1 ? "none" : "pass";
    const std::string seal = fmt::format("ARC-Seal: i={}; a={}; cv={}; d={}; s=arc; {}b=", instance,
                                         to_string(*dkim::algorithm_of(key)), cv, domain, wrong.seal_tags);
    return finish(seal, covered, key) + signature + results + message;
  }
  std::string seal(const std::string& message, const std::string& domain, const std::string& recorded) {
    return seal(message, domain, recorded, Wrong());
  }

 private:
  static std::string_view head_of(std::string_view message) { return message.substr(0, header_block_size(message)); }

  dkim::Key key_of(const std::string& domain) {
    static std::map<std::string, dkim::Key> made;  // an RSA key takes its time
    dkim::Key& key = made[domain];
    if (key == nullptr)
      key = dkim::generate_key(made.size() % 2 == 0 ? dkim::Algorithm::rsa_sha256 : dkim::Algorithm::ed25519_sha256);
    if (published_.insert(domain).second) dns_.txt("arc._domainkey." + domain, dkim::key_record_text(key));
    return key;
  }
  /// That of an instance.
  static std::string field(std::string_view message, std::string_view name, unsigned instance) {
    HeaderReader reader(head_of(message));
    while (auto one = reader.next()) {
      if (one->name == name && one->value.starts_with(fmt::format(" i={};", instance))) return std::string(one->raw);
    }
    return {};
  }
  static std::string sign_message(std::string_view message, const std::string& domain, const dkim::Key& key,
                                  unsigned instance, const Wrong& wrong) {
    dkim::BodyHash body;
    body.feed(message.substr(header_block_size(message)));
    const std::string start = fmt::format(
        "ARC-Message-Signature: i={}; a={}; c=relaxed/relaxed; d={}; s=arc; {}h={}; bh={}; b=", instance,
        to_string(*dkim::algorithm_of(key)), domain, wrong.message_tags, wrong.names, base64_encode(body.finish()));
    std::vector<std::string> names;
    for (std::string_view rest = wrong.names; !rest.empty();) {
      names.emplace_back(rest.substr(0, rest.find(':')));
      rest.remove_prefix(std::min(names.back().size() + 1, rest.size()));
    }
    return finish(start, dkim::select_fields(head_of(message), names, dkim::Canon::relaxed), key);
  }
  static std::string finish(const std::string& start, std::string data, const dkim::Key& key) {
    data += dkim::canonical_field(start, dkim::Canon::relaxed);
    data.resize(data.size() - 2);
    return start + base64_encode(dkim::sign(key, data)) + "\r\n";
  }

  DnsTable& dns_;
  std::set<std::string> published_;
};

}  // namespace postrider
