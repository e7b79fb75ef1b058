// Directory::resolve and may_send_as: from an address to the accounts and addresses that its mail goes to.
#include <map>
#include <set>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "store/directory.h"
#include "store/directory_address.h"

namespace postrider::store {
namespace {

/// Several SELECTs that see one state of the directory: an alias that is just being replaced is never half there.
class Snapshot {
 public:
  explicit Snapshot(Database& database) : database_(database) { database_.prepare("BEGIN").run(); }
  ~Snapshot() {
    try {
      database_.prepare("COMMIT").run();
    } catch (const SqliteError& error) {
      log_warn("directory_snapshot", {{"reason", error.what()}});
    }
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  Database& database_;
};

/// What an address may lead to besides accounts and aliases of that very name.
enum class Fallbacks { none, postmaster_and_catch_all };

/// One walk through the aliases.
class Expansion {
 public:
  Expansion(Database& database, std::string_view separators, Fallbacks fallbacks)
      : database_(database), separators_(separators), fallbacks_(fallbacks) {}

  void add(const Address& address, int depth) {
    if (cut_) return;
    if (!has_domain(address.domain)) {
      add_target({0, address.to_string(), 0});
      return;
    }
    if (add_named(address, depth) || add_part_before_separator(address, depth) || fallbacks_ == Fallbacks::none) return;
    if (is_postmaster(address.local_part) && add_first_account(address.domain)) return;
    add_catch_all(address, depth);
  }

  bool has_domain(const std::string& domain) {
    Rows rows(database_.prepare("SELECT 1 FROM domain WHERE name = ?1").bind(domain));
    return rows.next();
  }

  std::vector<Target> take() { return std::move(targets_); }

 private:
  /// An alias or an account of exactly this name; a disabled account counts as named, and gets nothing.
  bool add_named(const Address& address, int depth) {
    auto [seen, first] = seen_.try_emplace(address.to_string(), Followed::now);
    bool ring = !first && seen->second == Followed::now;
    if (first) seen->second = add_alias(address, depth) ? Followed::alias : Followed::nothing;
    if (seen->second == Followed::alias) return true;
    Rows rows(database_.prepare("SELECT id, quota, enabled FROM account WHERE domain = ?1 AND local = ?2")
                  .bind(address.domain, address.local_part));
    if (!rows.next()) return ring;
    if (rows->integer(2) != 0)
      add_target({rows->integer(0), address.to_string(), static_cast<uint64_t>(rows->integer(1))});
    // A disabled postmaster must not leave the domain without one.
    return rows->integer(2) != 0 || fallbacks_ == Fallbacks::none || !is_postmaster(address.local_part);
  }

  bool add_alias(const Address& address, int depth) {
    std::vector<std::string> targets;  // read first: the statement is used again below
    {
      Rows rows(database_.prepare("SELECT target FROM alias WHERE domain = ?1 AND local = ?2 ORDER BY position")
                    .bind(address.domain, address.local_part));
      while (rows.next()) targets.emplace_back(rows->text(0));
    }
    if (depth >= kMaxAliasDepth) {
      if (!targets.empty()) log_warn("alias_too_deep", {{"address", address.to_string()}, {"levels", depth}});
      return !targets.empty();
    }
    for (const std::string& target : targets) {
      if (auto parsed = parse_mailbox(target, Utf8::allowed)) add(*parsed, depth + 1);
    }
    return !targets.empty();
  }

  /// The longest part wins: with an account "a+b", mail to "a+b+c" is for it and not for "a".
  bool add_part_before_separator(const Address& address, int depth) {
    if (separators_.empty()) return false;
    std::string_view part = address.local_part;
    for (size_t end = part.find_last_of(separators_); end != std::string_view::npos && end > 0;
         end = part.find_last_of(separators_, end - 1)) {
      Address shorter{std::string(part.substr(0, end)), address.domain};
      if (add_named(shorter, depth)) return true;
      if (fallbacks_ != Fallbacks::none && is_postmaster(shorter.local_part) && add_first_account(shorter.domain))
        return true;
    }
    return false;
  }

  /// The first account of the domain, or of all where it has none.
  bool add_first_account(const std::string& domain) {
    Rows rows(
        database_
            .prepare("SELECT id, local, domain, quota FROM account WHERE enabled ORDER BY domain <> ?1, id LIMIT 1")
            .bind(domain));
    if (!rows.next()) return false;
    add_target({rows->integer(0), Address{std::string(rows->text(1)), std::string(rows->text(2))}.to_string(),
                static_cast<uint64_t>(rows->integer(3))});
    return true;
  }

  void add_catch_all(const Address& address, int depth) {
    std::string target;
    {
      Rows rows(database_.prepare("SELECT catch_all FROM domain WHERE name = ?1").bind(address.domain));
      if (rows.next()) target = rows->text(0);
    }
    if (target.empty() || depth >= kMaxAliasDepth) return;
    auto parsed = parse_mailbox(target, Utf8::allowed);
    // A catch-all that is not there itself would lead to itself for ever.
    if (parsed && caught_.insert(address.domain).second) add(*parsed, depth + 1);
  }

  void add_target(Target target) {
    if (targets_.size() >= kMaxAliasTargets) {
      if (!std::exchange(cut_, true))
        log_warn("alias_too_wide", {{"left_out_from", target.address}, {"limit", kMaxAliasTargets}});
      return;
    }
    if (known_.insert(target.account != 0 ? std::to_string(target.account) : target.address).second) {
      targets_.push_back(std::move(target));
    }
  }

  static bool is_postmaster(std::string_view local_part) { return local_part == "postmaster"; }

  Database& database_;
  std::string_view separators_;
  Fallbacks fallbacks_;
  std::vector<Target> targets_;
  enum class Followed { now, alias, nothing };
  std::map<std::string, Followed> seen_;  // addresses whose aliases were looked for
  bool cut_ = false;                      // said that there are too many
  std::set<std::string> known_;           // targets, by account or address
  std::set<std::string> caught_;          // domains whose catch-all was used
};

/// RFC 5321 4.5.1: <postmaster> means the postmaster of this server, which is that of its first domain.
std::optional<Address> canonical(Database& database, std::string_view local_part, std::string_view domain) {
  Address address{lower(local_part), {}};
  if (domain.empty()) {
    if (address.local_part != "postmaster") return std::nullopt;
    Rows rows(database.prepare("SELECT name FROM domain ORDER BY number LIMIT 1"));
    if (!rows.next()) return std::nullopt;
    address.domain = rows->text(0);
    return address;
  }
  auto normalized = normalize_domain(domain);
  if (!normalized) return std::nullopt;
  address.domain = std::move(*normalized);
  return address;
}

}  // namespace

std::string Directory::first_domain() {
  Rows rows(database_.prepare("SELECT name FROM domain ORDER BY number LIMIT 1"));
  return rows.next() ? std::string(rows->text(0)) : std::string();
}

Resolution Directory::resolve(std::string_view local_part, std::string_view domain, std::string_view separators) {
  Resolution resolution;
  Snapshot snapshot(database_);
  auto address = canonical(database_, local_part, domain);
  Expansion expansion(database_, separators, Fallbacks::postmaster_and_catch_all);
  if (!address || !expansion.has_domain(address->domain)) return resolution;
  expansion.add(*address, 0);
  resolution.targets = expansion.take();
  resolution.kind = resolution.targets.empty() ? RecipientKind::unknown_user : RecipientKind::known;
  return resolution;
}

bool Directory::may_send_as(AccountId account, std::string_view local_part, std::string_view domain,
                            std::string_view separators) {
  Snapshot snapshot(database_);
  auto address = canonical(database_, local_part, domain);
  Expansion expansion(database_, separators, Fallbacks::none);
  if (!address || !expansion.has_domain(address->domain)) return false;
  expansion.add(*address, 0);
  for (const Target& target : expansion.take()) {
    if (target.account == account) return true;
  }
  return false;
}

}  // namespace postrider::store
