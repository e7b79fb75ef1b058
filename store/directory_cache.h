// Answers of Directory::resolve() for use on one loop. Not thread-safe: each loop has its own.
//
//   if (const Resolution* known = cache.find(local_part, domain)) return *known;
//   uint64_t version = service.version();               // before asking: what changes meanwhile makes the answer old
//   auto ask = [&] { return service.with([&](Directory& d) { return d.resolve(local_part, domain, separators); }); };
//   Resolution answer = co_await workers.run(std::move(ask));
//   cache.put(version, local_part, domain, answer);
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/directory_service.h"

namespace postrider::store {

constexpr size_t kMaxCachedAnswers = 20'000;  // of one loop
constexpr size_t kMaxCachedTargets = 32;      // an answer with more is asked for every time

class DirectoryCache {
 public:
  /// Answers for one setting of the separators: a new setting needs a new cache.
  explicit DirectoryCache(const DirectoryService& service) : service_(service) {}

  /// An answer that is still true, or null. Never blocks. Valid until the next call.
  const Resolution* find(std::string_view local_part, std::string_view domain);
  /// version: service.version() from before the answer was asked for.
  void put(uint64_t version, std::string_view local_part, std::string_view domain, Resolution answer);
  size_t size() const { return young_.size() + old_.size(); }

 private:
  using Answers = std::unordered_map<std::string, Resolution>;
  bool still_good();
  void insert(std::string key, Resolution answer);

  const DirectoryService& service_;
  uint64_t version_ = 0;  // that the answers belong to
  // When the young half is full it becomes the old one, and what is asked for again moves back: about what least
  // recently used would keep, without a list.
  Answers young_, old_;
};

}  // namespace postrider::store
