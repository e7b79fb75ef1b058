#include "store/directory_cache.h"

namespace postrider::store {
namespace {

/// Addresses as they came: two spellings of one address are two entries, which saves normalising on the loop.
std::string key_of(std::string_view local_part, std::string_view domain) {
  std::string key;
  key.reserve(local_part.size() + 1 + domain.size());
  key.append(local_part).append(1, '\0').append(domain);
  return key;
}

}  // namespace

bool DirectoryCache::still_good() {
  uint64_t now = service_.version();
  if (now == version_ && DirectoryVersion::stands_still(now)) return true;
  young_.clear();
  old_.clear();
  version_ = now;
  return DirectoryVersion::stands_still(now);
}

const Resolution* DirectoryCache::find(std::string_view local_part, std::string_view domain) {
  if (!still_good()) return nullptr;
  std::string key = key_of(local_part, domain);
  if (auto found = young_.find(key); found != young_.end()) return &found->second;
  auto found = old_.find(key);
  if (found == old_.end()) return nullptr;
  Resolution answer = std::move(found->second);
  old_.erase(found);
  insert(key, std::move(answer));
  return &young_.find(key)->second;
}

void DirectoryCache::put(uint64_t version, std::string_view local_part, std::string_view domain, Resolution answer) {
  if (!still_good() || version != version_ || answer.targets.size() > kMaxCachedTargets) return;
  insert(key_of(local_part, domain), std::move(answer));
}

void DirectoryCache::insert(std::string key, Resolution answer) {
  if (young_.size() >= kMaxCachedAnswers / 2) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(std::move(key), std::move(answer));
}

}  // namespace postrider::store
