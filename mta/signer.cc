#include "mta/signer.h"

#include <exception>

#include "common/base/log.h"
#include "common/mail/address.h"
#include "common/mail/header.h"
#include "common/mailauth/dmarc.h"

namespace postrider {
namespace {

// A domain that had no keys is looked at again after this time.
constexpr std::chrono::seconds kKeylessFor{1};

/// Empty: there is none that could sign.
std::string author_domain(const MessageToSign& message) {
  if (message.any_author) {
    const auto authors = dmarc::author_domains(message.head);
    if (authors.size() == 1) return authors.front();
  }
  return normalize_domain(message.sender_domain).value_or(std::string());
}

}  // namespace

bool Signer::adds_nothing(const MessageToSign& message) {
  const std::string domain = author_domain(message);
  if (domain.empty()) return true;
  std::lock_guard lock(mutex_);
  const auto found = loaded_.find(domain);
  if (found == loaded_.end() || found->second.keys == nullptr || !found->second.keys->empty()) return false;
  return std::chrono::steady_clock::now() - found->second.looked < kKeylessFor;
}

std::string Signer::sign(const MessageToSign& message) {
  try {
    const std::string domain = author_domain(message);
    if (domain.empty()) return {};
    const Keys keys = keys_of(domain);
    if (keys->empty()) return {};
    dkim::BodyHash body;
    std::string buffer;
    for (uint64_t offset = message.body_offset; offset < message.spool->size();) {
      const std::string_view piece = message.spool->read_at(offset, buffer);
      body.feed(piece);
      offset += piece.size();
    }
    return dkim::sign_message(message.head, body.finish(), *keys, clock_.unix_time());
  } catch (const std::exception& error) {
    log_error("dkim_not_signed", {{"reason", error.what()}});
    return {};
  }
}

std::string Signer::sign_own(std::string author, std::string_view message) {
  try {
    Keys keys = keys_of(author);
    while (keys->empty() && author.find('.') != std::string::npos) {
      author.erase(0, author.find('.') + 1);
      keys = keys_of(author);
    }
    if (keys->empty()) return {};
    const size_t head = header_block_size(message);
    dkim::BodyHash body;
    body.feed(message.substr(head));
    return dkim::sign_message(message.substr(0, head), body.finish(), *keys, clock_.unix_time());
  } catch (const std::exception& error) {
    log_error("dkim_not_signed", {{"reason", error.what()}});
    return {};
  }
}

Signer::Keys Signer::keys_of(const std::string& domain) {
  const UnixTime now = clock_.unix_time();
  const int64_t stamp = keys_.stamp(domain);
  std::lock_guard lock(mutex_);
  if (loaded_.size() > kMaxLoaded) loaded_.clear();
  Loaded& loaded = loaded_[domain];
  loaded.looked = std::chrono::steady_clock::now();
  if (loaded.keys != nullptr && loaded.stamp == stamp && now < loaded.until) return loaded.keys;
  loaded.stamp = stamp;
  auto keys = std::make_shared<std::vector<dkim::SigningKey>>();
  loaded.until = INT64_MAX;
  if (stamp != 0) {
    const auto all = keys_.list(domain);
    for (const store::DkimKey& key : store::signing_keys(all, now)) {
      auto loaded_key = keys_.load(key);
      if (loaded_key) {
        keys->push_back({domain, key.selector, std::move(*loaded_key)});
      } else {
        log_error("dkim_key_unusable",
                  {{"domain", domain}, {"selector", key.selector}, {"reason", loaded_key.error().message}});
      }
    }
    for (const store::DkimKey& key : all) {
      if (key.signs_from > now) loaded.until = std::min(loaded.until, key.signs_from);
    }
  }
  loaded.keys = std::move(keys);
  return loaded.keys;
}

}  // namespace postrider
