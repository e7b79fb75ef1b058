// What mail authentication knows of DNS: questions, answers, and what their octets mean. Nothing here asks: an
// evaluation is run over the answers that are known, notes the questions that it could not go on without, and is run
// again from its beginning when those are answered. So SPF, DKIM and DMARC are plain functions, their questions are
// asked side by side, and a test fills a table.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postrider {

enum class DnsType : int { a = 1, cname = 5, ptr = 12, mx = 15, txt = 16, aaaa = 28, srv = 33, dnskey = 48, tlsa = 52 };

struct DnsAnswer {
  enum class Status {
    found,
    no_data,    // the name is there, without such a record
    no_domain,  // NXDOMAIN
    failed,     // no answer, or one that is not to be trusted: ask again later
  };
  Status status = Status::failed;
  std::vector<std::string> records;  // RDATA as it is on the wire, names uncompressed
  std::string canonical;             // where CNAMEs led to, lower case; empty: there was none, or nobody looked
  bool secure = false;               // validated by DNSSEC
  uint32_t ttl = 0;                  // seconds that it may be kept
  std::string reason;                // failed: why, for people

  bool nothing() const { return status == Status::no_data || status == Status::no_domain; }
};

struct DnsQuestion {
  std::string name;  // lower case, without a dot at the end
  DnsType type = DnsType::a;
  auto operator<=>(const DnsQuestion&) const = default;
};

/// TXT (RFC 1035 3.3.14): its strings put together, as SPF and DKIM want them.
std::string parse_txt(std::string_view rdata);
/// The uncompressed name that rdata is (PTR, CNAME), lower case, without the dot at the end. Nothing where it is none,
/// or not printable.
std::optional<std::string> parse_name(std::string_view rdata);
/// What may be asked: at most 253 octets, labels of 1 to 63.
bool is_askable(std::string_view name);

constexpr size_t kMaxDnsQuestions = 200;  // of one message, whatever its signatures and records ask for

/// The answers that an evaluation may use.
class DnsLookups {
 public:
  using Answer = std::shared_ptr<const DnsAnswer>;
  /// cache: gives an answer that is at hand, or null. May be empty.
  explicit DnsLookups(std::function<Answer(const DnsQuestion&)> cache = {}) : cache_(std::move(cache)) {}

  /// Null: not known yet, and noted as missing. Names in any case; those that cannot be asked do not exist. An answer
  /// stays the same for as long as this lives.
  const DnsAnswer* find(std::string_view name, DnsType type);

  /// What was asked for in vain since the last call.
  std::vector<DnsQuestion> take_missing();
  void supply(const DnsQuestion& question, Answer answer) { known_[question] = std::move(answer); }
  /// From now on what is not known has failed: the time is up.
  void give_up() { given_up_ = true; }

 private:
  std::function<Answer(const DnsQuestion&)> cache_;
  std::map<DnsQuestion, Answer> known_;
  std::set<DnsQuestion> missing_;
  size_t asked_ = 0;
  bool given_up_ = false;
};

}  // namespace postrider
