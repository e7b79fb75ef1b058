// A table of DNS answers for tests, and evaluations over it as the daemon runs them: asked for, answered, run again.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "common/mailauth/dns.h"

namespace postrider {

/// "mx.example.org" as it is on the wire.
inline std::string wire_name(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const auto label = name.substr(0, name.find('.'));
    wire += static_cast<char>(label.size());
    wire += label;
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  return wire + '\0';
}

/// TXT in strings of at most 255 octets.
inline std::string wire_txt(std::string_view text) {
  std::string wire;
  do {
    const auto piece = text.substr(0, 255);
    wire += static_cast<char>(static_cast<unsigned char>(piece.size()));
    wire += piece;
    text.remove_prefix(piece.size());
  } while (!text.empty());
  return wire;
}

class DnsTable {
 public:
  void add(const std::string& name, DnsType type, std::string rdata) {
    DnsAnswer& answer = table_[{name, type}];
    answer.status = DnsAnswer::Status::found;
    answer.records.push_back(std::move(rdata));
  }
  void txt(const std::string& name, std::string_view text) { add(name, DnsType::txt, wire_txt(text)); }
  void set(const std::string& name, DnsType type, DnsAnswer answer) { table_[{name, type}] = std::move(answer); }
  void fail(const std::string& name, DnsType type) {
    DnsAnswer answer;
    answer.reason = "by the test";
    set(name, type, std::move(answer));
  }

  std::shared_ptr<const DnsAnswer> answer(const DnsQuestion& question) {
    ++asked_;
    auto found = table_.find(question);
    if (found != table_.end()) return std::make_shared<DnsAnswer>(found->second);
    DnsAnswer none;
    none.status = DnsAnswer::Status::no_domain;
    return std::make_shared<DnsAnswer>(none);
  }
  size_t asked() const { return asked_; }

  /// Runs evaluate(lookups) until it has a result; what it misses is answered in between.
  template <class Evaluate>
  auto run(Evaluate evaluate) {
    DnsLookups lookups;
    for (int round = 0; round < 100; ++round) {
      if (auto result = evaluate(lookups)) return *result;
      auto missing = lookups.take_missing();
      EXPECT_FALSE(missing.empty()) << "it waits for nothing";
      for (const DnsQuestion& question : missing) lookups.supply(question, answer(question));
    }
    ADD_FAILURE() << "no end";
    lookups.give_up();
    return *evaluate(lookups);
  }

 private:
  std::map<DnsQuestion, DnsAnswer> table_;
  size_t asked_ = 0;
};

}  // namespace postrider
