#include "store/access_rights.h"

#include <fmt/format.h>

#include "store/edit_internal.h"

namespace postrider::store {
namespace {

constexpr std::string_view kLetters = "lrswipkxtea";  // the lowest bit first

}  // namespace

std::optional<Rights> parse_rights(std::string_view letters) {
  Rights rights = 0;
  for (char letter : letters) {
    size_t bit = kLetters.find(letter);
    if (bit != std::string_view::npos) {
      rights |= Rights{1} << bit;
    } else if (letter == 'c') {
      rights |= right::kCreate | right::kDelete;
    } else if (letter == 'd') {
      rights |= right::kDeleteMessages | right::kExpunge;
    } else {
      return std::nullopt;
    }
  }
  return rights;
}

std::string format_rights(Rights rights) {
  std::string letters;
  for (size_t bit = 0; bit < kLetters.size(); ++bit) {
    if ((rights >> bit & 1) != 0) letters += kLetters[bit];
  }
  if ((rights & (right::kCreate | right::kDelete)) != 0) letters += 'c';
  if ((rights & (right::kDeleteMessages | right::kExpunge)) != 0) letters += 'd';
  return letters;
}

uint64_t changeable_flags(Rights rights) {
  uint64_t mask = 0;
  if ((rights & right::kSeen) != 0) mask |= Flags::kSeen;
  if ((rights & right::kDeleteMessages) != 0) mask |= Flags::kDeleted;
  if ((rights & right::kWrite) != 0) mask |= ~(Flags::kSeen | Flags::kDeleted);
  return mask;
}

std::vector<Grant> Account::grants(MailboxId mailbox) {
  std::vector<Grant> all;
  Rows rows(
      database_.prepare("SELECT who, negative, rights FROM access_right WHERE mailbox = ?1 ORDER BY who, negative")
          .bind(mailbox));
  while (rows.next()) all.push_back({rows->integer(0), rows->integer(1) != 0, static_cast<Rights>(rows->integer(2))});
  return all;
}

Rights Account::rights_of(MailboxId mailbox, AccountId user) {
  if (user == id_) return right::kAll;
  Rights granted = 0, taken = 0;
  for (const Grant& grant : grants(mailbox)) {
    if (grant.who == user || grant.who == kAnyone) (grant.negative ? taken : granted) |= grant.rights;
  }
  return granted & ~taken;
}

StoreResult<void> Edit::grant(MailboxId mailbox, const Grant& grant) {
  Database& db = account_.database_;
  if (grant.rights == 0) {
    db.prepare("DELETE FROM access_right WHERE mailbox = ?1 AND who = ?2 AND negative = ?3")
        .bind(mailbox, grant.who, grant.negative)
        .run();
  } else {
    if (account_.grants(mailbox).size() >= kMaxGrants) {
      return tl::unexpected(
          StoreFailure{StoreFault::limit, fmt::format("An access control list has at most {} entries.", kMaxGrants)});
    }
    db.prepare(
          "INSERT INTO access_right VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET rights = excluded.rights "
          "WHERE rights <> excluded.rights")
        .bind(mailbox, grant.who, grant.negative, static_cast<int64_t>(grant.rights))
        .run();
  }
  if (db.changes() == 0) return {};
  bump();
  forget_lost_readers(mailbox);
  return {};
}

void Edit::inherit_rights(std::string_view name) {
  std::optional<MailboxId> parent;
  for (size_t end = 0; end != std::string_view::npos;) {
    end = name.find(kHierarchyDelimiter, end + 1);
    auto id = find(name.substr(0, end));
    if (parent && id && deltas_.contains(*id)) {
      account_.database_
          .prepare(
              "INSERT OR IGNORE INTO access_right SELECT ?1, who, negative, rights FROM access_right "
              "WHERE mailbox = ?2")
          .bind(*id, *parent)
          .run();
    }
    parent = id;
  }
}

}  // namespace postrider::store
