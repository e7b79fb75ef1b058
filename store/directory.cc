#include "store/directory.h"

#include <fmt/format.h>

#include <set>

#include "common/base/ascii.h"
#include "store/directory_address.h"
#include "store/directory_schema.h"

namespace postrider::store {
namespace {

constexpr std::string_view kAccountColumns = "SELECT id, local, domain, quota, enabled, created FROM account ";

AccountInfo account_of(const Statement& row) {
  AccountInfo info;
  info.id = row.integer(0);
  info.address = Address{std::string(row.text(1)), std::string(row.text(2))}.to_string();
  info.quota = static_cast<uint64_t>(row.integer(3));
  info.enabled = row.integer(4) != 0;
  info.created = row.integer(5);
  return info;
}

tl::unexpected<Error> no_domain(std::string_view domain) {
  return failure(fmt::format("There is no domain {} here: add it first (mailctl domain add {}).", domain, domain));
}

tl::unexpected<Error> no_account(const Address& address) {
  return failure(
      fmt::format("There is no account {}: mailctl account list shows which there are.", address.to_string()));
}

std::string prepare_state(const std::string& state) {
  return state + "/directory.db";
}

}  // namespace

Result<Address> canonical_address(std::string_view text) {
  auto address = parse_mailbox(text, Utf8::allowed);
  if (!address) return failure(fmt::format("\"{}\" is no mail address: {}", text, address.error().message));
  auto domain = normalize_domain(address->domain);
  if (!domain) return failure(fmt::format("\"{}\" is no mail address: {}", text, domain.error().message));
  return Address{lower(address->local_part), std::move(*domain)};
}

Directory::Directory(const std::string& state, const Clock& clock)
    : clock_(clock), counter_(state), database_(prepare_state(state), OpenMode::create, Sync::full) {
  migrate(database_, kDirectoryMigrations);
  if (DirectoryVersion::stands_still(counter_.load())) return;
  Transaction transaction(
      database_);  // nobody is committing now: whoever left the counter odd has died, or is just done
  DirectoryVersion::Change repair(counter_);
}

/// Runs body in a transaction; commits, and tells everybody, where it gives a value.
template <class Body>
auto Directory::change(Body body) {
  Transaction transaction(database_);
  auto result = body();
  if (!result) return result;
  database_.prepare("UPDATE state SET version = version + 1").run();
  DirectoryVersion::Change change(counter_);
  transaction.commit();
  return result;
}

// --- domains

bool Directory::domain_exists(const std::string& a_label_domain) {
  Rows rows(database_.prepare("SELECT 1 FROM domain WHERE name = ?1").bind(a_label_domain));
  return rows.next();
}

bool Directory::has_domain(std::string_view a_label_domain) {
  return domain_exists(std::string(a_label_domain));
}

Result<void> Directory::add_domain(std::string_view name) {
  if (!is_domain(name, Utf8::allowed)) {
    return failure(fmt::format("\"{}\" is no domain name: it looks like example.org.", name));
  }
  auto domain = normalize_domain(name);
  if (!domain) return tl::unexpected(domain.error());
  return change([&]() -> Result<void> {
    if (domain_exists(*domain)) return failure(fmt::format("The domain {} is here already.", *domain));
    database_.prepare("INSERT INTO domain(name, created) VALUES(?1, ?2)").bind(*domain, clock_.unix_time()).run();
    return {};
  });
}

Result<void> Directory::remove_domain(std::string_view name) {
  auto domain = normalize_domain(name);
  if (!domain) return tl::unexpected(domain.error());
  return change([&]() -> Result<void> {
    if (!domain_exists(*domain)) return no_domain(*domain);
    Rows used(database_
                  .prepare("SELECT (SELECT count(*) FROM account WHERE domain = ?1),"
                           " (SELECT count(DISTINCT local) FROM alias WHERE domain = ?1)")
                  .bind(*domain));
    used.next();
    if (used->integer(0) + used->integer(1) > 0) {
      return failure(fmt::format("{} still has {} accounts and {} aliases: remove those first.", *domain,
                                 used->integer(0), used->integer(1)));
    }
    database_.prepare("DELETE FROM domain WHERE name = ?1").bind(*domain).run();
    return {};
  });
}

Result<void> Directory::set_catch_all(std::string_view name, std::string_view address) {
  auto domain = normalize_domain(name);
  if (!domain) return tl::unexpected(domain.error());
  std::string target;
  if (!address.empty()) {
    auto canonical = canonical_address(address);
    if (!canonical) return tl::unexpected(canonical.error());
    target = canonical->to_string();
  }
  return change([&]() -> Result<void> {
    if (!domain_exists(*domain)) return no_domain(*domain);
    database_.prepare("UPDATE domain SET catch_all = ?2 WHERE name = ?1").bind(*domain, target).run();
    return {};
  });
}

std::vector<DomainInfo> Directory::domains() {
  std::vector<DomainInfo> all;
  Rows rows(
      database_.prepare("SELECT name, catch_all, created, (SELECT count(*) FROM account WHERE domain = name)"
                        " FROM domain ORDER BY name"));
  while (rows.next()) {
    all.push_back({std::string(rows->text(0)), std::string(rows->text(1)), rows->integer(2),
                   static_cast<uint64_t>(rows->integer(3))});
  }
  return all;
}

// --- accounts

std::optional<AccountInfo> Directory::find_account(const Address& address) {
  static const std::string sql = std::string(kAccountColumns) + "WHERE domain = ?1 AND local = ?2";
  Rows rows(database_.prepare(sql).bind(address.domain, address.local_part));
  if (!rows.next()) return std::nullopt;
  return account_of(*rows.operator->());
}

std::optional<AccountInfo> Directory::account(AccountId id) {
  static const std::string sql = std::string(kAccountColumns) + "WHERE id = ?1";
  Rows rows(database_.prepare(sql).bind(id));
  if (!rows.next()) return std::nullopt;
  return account_of(*rows.operator->());
}

std::optional<AccountInfo> Directory::find_account(std::string_view text, std::string_view default_domain) {
  std::string whole(text);
  if (text.find('@') == std::string_view::npos && !default_domain.empty()) whole += fmt::format("@{}", default_domain);
  auto address = canonical_address(whole);
  return address ? find_account(*address) : std::nullopt;
}

void Directory::note_sharing(AccountId owner, AccountId who) {
  {
    Rows rows(database_.prepare("SELECT 1 FROM sharing WHERE who = ?1 AND owner = ?2").bind(who, owner));
    if (rows.next()) return;
  }
  auto body = [&]() -> Result<void> {
    database_.prepare("INSERT OR IGNORE INTO sharing VALUES(?1, ?2)").bind(who, owner).run();
    return {};
  };
  (void)change(body);
}

std::vector<AccountInfo> Directory::sharing_with(AccountId who) {
  static const std::string sql = std::string(kAccountColumns) +
                                 "WHERE id IN (SELECT owner FROM sharing WHERE who IN (0, ?1)) AND id <> ?1 "
                                 "AND enabled <> 0 ORDER BY domain, local LIMIT ?2";
  std::vector<AccountInfo> all;
  Rows rows(database_.prepare(sql).bind(who, static_cast<int64_t>(kMaxSharingOwners)));
  while (rows.next()) all.push_back(account_of(*rows.operator->()));
  return all;
}

std::vector<AccountInfo> Directory::accounts() {
  static const std::string sql = std::string(kAccountColumns) + "ORDER BY domain, local";
  std::vector<AccountInfo> all;
  Rows rows(database_.prepare(sql));
  while (rows.next()) all.push_back(account_of(*rows.operator->()));
  return all;
}

Result<AccountInfo> Directory::add_account(std::string_view text, const PasswordRecord& password) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  return change([&]() -> Result<AccountInfo> {
    if (!domain_exists(address->domain)) return no_domain(address->domain);
    if (find_account(*address)) return failure(fmt::format("The account {} is here already.", address->to_string()));
    Rows alias(database_.prepare("SELECT 1 FROM alias WHERE domain = ?1 AND local = ?2")
                   .bind(address->domain, address->local_part));
    if (alias.next()) {
      return failure(fmt::format("{} is an alias: remove that first (mailctl alias remove).", address->to_string()));
    }
    database_.prepare("INSERT INTO account(local, domain, created) VALUES(?1, ?2, ?3)")
        .bind(address->local_part, address->domain, clock_.unix_time())
        .run();
    AccountId id = database_.last_insert_id();
    store_password(database_, id, password);
    return *account(id);
  });
}

Result<AccountInfo> Directory::remove_account(std::string_view text) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  return change([&]() -> Result<AccountInfo> {
    auto info = find_account(*address);
    if (!info) return no_account(*address);
    database_.prepare("DELETE FROM account WHERE id = ?1").bind(info->id).run();
    database_.prepare("DELETE FROM credential WHERE account = ?1").bind(info->id).run();
    database_.prepare("DELETE FROM sharing WHERE who = ?1 OR owner = ?1").bind(info->id).run();
    database_.prepare("DELETE FROM app_password WHERE account = ?1").bind(info->id).run();
    return *info;
  });
}

Result<void> Directory::set_password(std::string_view text, const PasswordRecord& password) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  return change([&]() -> Result<void> {
    auto info = find_account(*address);
    if (!info) return no_account(*address);
    store_password(database_, info->id, password);
    return {};
  });
}

Result<void> Directory::set_quota(std::string_view text, uint64_t octets) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  if (octets > static_cast<uint64_t>(INT64_MAX))
    return failure("That quota is larger than any disk: 0 means no limit.");
  return change([&]() -> Result<void> {
    auto info = find_account(*address);
    if (!info) return no_account(*address);
    database_.prepare("UPDATE account SET quota = ?2 WHERE id = ?1").bind(info->id, octets).run();
    return {};
  });
}

Result<void> Directory::set_enabled(std::string_view text, bool enabled) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  return change([&]() -> Result<void> {
    auto info = find_account(*address);
    if (!info) return no_account(*address);
    database_.prepare("UPDATE account SET enabled = ?2 WHERE id = ?1").bind(info->id, enabled).run();
    return {};
  });
}

// --- aliases

Result<void> Directory::set_alias(std::string_view text, const std::vector<std::string>& targets) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  if (targets.empty()) return failure("An alias needs at least one address that it leads to.");
  if (targets.size() > kMaxAliasTargets) {
    return failure(fmt::format("An alias leads to at most {} addresses: make one that leads to several others.",
                               kMaxAliasTargets));
  }
  std::vector<std::string> canonical;
  for (const std::string& target : targets) {
    auto parsed = canonical_address(target);
    if (!parsed) return tl::unexpected(parsed.error());
    canonical.push_back(parsed->to_string());
  }
  return change([&]() -> Result<void> {
    if (!domain_exists(address->domain)) return no_domain(address->domain);
    database_.prepare("DELETE FROM alias WHERE domain = ?1 AND local = ?2")
        .bind(address->domain, address->local_part)
        .run();
    for (size_t i = 0; i < canonical.size(); ++i) {
      database_.prepare("INSERT INTO alias VALUES(?1, ?2, ?3, ?4)")
          .bind(address->domain, address->local_part, i, canonical[i])
          .run();
    }
    if (!is_ring(*address)) return {};
    return failure(
        fmt::format("{} would lead in a circle: from it come nothing but aliases, and one of them leads back. Name an "
                    "account, or an address elsewhere.",
                    address->to_string()));
  });
}

/// Whether the alias leads to other aliases alone, and so to nobody.
bool Directory::is_ring(const Address& alias) {
  std::set<std::string> known{alias.to_string()};
  std::vector<Address> ahead{alias};
  while (!ahead.empty() && known.size() <= kMaxAliasTargets) {
    const Address address = std::move(ahead.back());
    ahead.pop_back();
    if (find_account(address)) return false;
    bool leads_on = false;
    Rows rows(database_.prepare("SELECT target FROM alias WHERE domain = ?1 AND local = ?2")
                  .bind(address.domain, address.local_part));
    while (rows.next()) {
      leads_on = true;
      auto target = parse_mailbox(rows->text(0), Utf8::allowed);
      if (target && known.insert(target->to_string()).second) ahead.push_back(std::move(*target));
    }
    if (!leads_on) return false;
  }
  return ahead.empty();
}

Result<void> Directory::remove_alias(std::string_view text) {
  auto address = canonical_address(text);
  if (!address) return tl::unexpected(address.error());
  return change([&]() -> Result<void> {
    database_.prepare("DELETE FROM alias WHERE domain = ?1 AND local = ?2")
        .bind(address->domain, address->local_part)
        .run();
    if (database_.changes() > 0) return {};
    return failure(
        fmt::format("There is no alias {}: mailctl alias list shows which there are.", address->to_string()));
  });
}

std::vector<AliasInfo> Directory::aliases() {
  std::vector<AliasInfo> all;
  Rows rows(database_.prepare("SELECT local, domain, target FROM alias ORDER BY domain, local, position"));
  while (rows.next()) {
    std::string address = Address{std::string(rows->text(0)), std::string(rows->text(1))}.to_string();
    if (all.empty() || all.back().address != address) all.push_back({address, {}});
    all.back().targets.emplace_back(rows->text(2));
  }
  return all;
}

// --- logging in

std::optional<Directory::Login> Directory::find_login(std::string_view name, std::string_view default_domain) {
  std::string whole(name);
  if (name.find('@') == std::string_view::npos) {
    if (default_domain.empty()) return std::nullopt;
    whole = fmt::format("{}@{}", name, default_domain);
  }
  auto address = canonical_address(whole);
  if (!address) return std::nullopt;
  auto info = find_account(*address);
  if (!info || !info->enabled) return std::nullopt;
  auto password = load_password(database_, info->id);
  if (!password) return std::nullopt;
  return Login{std::move(*info), std::move(*password)};
}

std::string Directory::decoy_key() {
  Rows rows(database_.prepare("SELECT decoy_key FROM state"));
  return rows.next() ? std::string(rows->blob(0)) : std::string();
}

int64_t Directory::version() {
  Rows rows(database_.prepare("SELECT version FROM state"));
  return rows.next() ? rows->integer(0) : 0;
}

}  // namespace postrider::store
