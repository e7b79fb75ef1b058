// Who has mail here: domains, accounts, credentials, aliases. STATE/directory.db, written by mailctl, read by both
// daemons.
//
// Domains are kept as lower-case A-labels, local parts in lower-case ASCII (RFC 5321 lets us: they are ours). A handle
// is used by one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mail/address.h"
#include "common/sasl/password.h"
#include "store/access_rights.h"
#include "store/directory_version.h"
#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

struct AccountInfo {
  AccountId id = 0;
  std::string address;  // canonical: local@a-label-domain
  uint64_t quota = 0;   // octets; 0: none
  bool enabled = true;  // a disabled account neither logs in nor gets mail
  UnixTime created = 0;
};

struct DomainInfo {
  std::string name;       // A-label
  std::string catch_all;  // address, or empty
  UnixTime created = 0;
  uint64_t accounts = 0;
};

struct AliasInfo {
  std::string address;
  std::vector<std::string> targets;
};

/// One place that mail for a recipient goes to.
struct Target {
  AccountId account = 0;  // 0: an address elsewhere
  std::string address;    // canonical address of the account, or the address elsewhere
  uint64_t quota = 0;     // octets; 0: none
};

struct AppPasswordInfo {
  std::string name;
  uint8_t scopes = 0;  // sasl::Scope
  UnixTime created = 0;
  UnixTime last_used = 0;  // to the minute; 0: never
};

enum class RecipientKind { foreign_domain, unknown_user, known };

struct Resolution {
  RecipientKind kind = RecipientKind::foreign_domain;
  std::vector<Target> targets;  // without repetitions
};

constexpr size_t kMaxAliasTargets = 1'000;  // addresses that one recipient may become
constexpr int kMaxAliasDepth = 10;

class Directory {
 public:
  /// state: the state folder; directory.db is made when missing. Throws SqliteError.
  Directory(const std::string& state, const Clock& clock);

  Result<void> add_domain(std::string_view name);
  Result<void> remove_domain(std::string_view name);  // refused while it has accounts or aliases
  Result<void> set_catch_all(std::string_view domain, std::string_view address);  // empty: none
  std::vector<DomainInfo> domains();
  bool has_domain(std::string_view a_label_domain);

  Result<AccountInfo> add_account(std::string_view address, const PasswordRecord& password);
  Result<AccountInfo> remove_account(std::string_view address);
  Result<void> set_password(std::string_view address, const PasswordRecord& password);
  Result<void> set_quota(std::string_view address, uint64_t octets);
  Result<void> set_enabled(std::string_view address, bool enabled);
  std::vector<AccountInfo> accounts();
  std::optional<AccountInfo> account(AccountId id);

  /// The account of this address, or of this login name; no aliases.
  std::optional<AccountInfo> find_account(std::string_view address, std::string_view default_domain);

  /// An account is about to give rights in a mailbox to another, or to everybody (0). It is never taken back: who is
  /// named here for nothing costs a look.
  void note_sharing(AccountId owner, AccountId who);
  /// Enabled accounts that may have given rights to this one, or to everybody; by address.
  std::vector<AccountInfo> sharing_with(AccountId who);

  /// Refused where it would lead to nothing but aliases that lead back.
  Result<void> set_alias(std::string_view address, const std::vector<std::string>& targets);
  Result<void> remove_alias(std::string_view address);
  std::vector<AliasInfo> aliases();

  /// The domain that was added first, which stands for the server where an address names none; empty: there are none.
  std::string first_domain();

  /// Where mail for this recipient goes: alias (several levels; it wins over an account of the same name, and where it
  /// leads back to itself it means that account), account, plus-address (separators: any of these characters; empty:
  /// none; the whole address wins over the part before the separator), postmaster (RFC 5321 4.5.1: to the first account
  /// of the domain when nobody was named; without a domain too), catch-all. A disabled account is an unknown user.
  Resolution resolve(std::string_view local_part, std::string_view domain, std::string_view separators);

  /// The account that a login name means, when it is enabled; default_domain completes a name without "@". The password
  /// is checked by the caller.
  struct Login {
    AccountInfo account;
    PasswordRecord password;
  };
  std::optional<Login> find_login(std::string_view name, std::string_view default_domain);

  /// In directory_app_password.cc. hash: see sasl::app_password_hash(); scopes: of sasl::Scope.
  Result<void> add_app_password(AccountId account, std::string_view name, uint8_t scopes, std::string_view hash);
  Result<void> remove_app_password(AccountId account, std::string_view name);
  std::vector<AppPasswordInfo> app_passwords(AccountId account);
  /// Whether it is one of the account's that is good for that; it was used now, if so.
  bool use_app_password(AccountId account, std::string_view hash, uint8_t scope);

  /// May this account send mail in the name of this address: its own, an alias that leads to it, a plus-address of
  /// either.
  bool may_send_as(AccountId account, std::string_view local_part, std::string_view domain,
                   std::string_view separators);

  /// 32 secret octets, made with the directory: for sasl::FakeRecords, so that every process gives the same answers.
  std::string decoy_key();

  /// Grows with every committed change, seen across processes at once: a cache of answers is good while this stands
  /// still.
  int64_t version();

 private:
  template <class Body>
  auto change(Body body);
  bool domain_exists(const std::string& a_label_domain);
  std::optional<AccountInfo> find_account(const Address& address);
  bool is_ring(const Address& alias);

  const Clock& clock_;
  DirectoryVersion counter_;
  Database database_;
};

}  // namespace postrider::store
