// The changes of mailboxes: create, delete, rename, subscribe.
#include <fmt/format.h>

#include <algorithm>

#include "store/edit_internal.h"

namespace postrider::store {
namespace {

constexpr const char* kIsOurs = "This mailbox belongs to the server: it shows what was removed elsewhere.";

StoreFailure fault(StoreFault fault, std::string message) {
  return {fault, std::move(message)};
}

/// A name that can be kept: levels that are not empty, no control characters, within the limits.
StoreResult<void> check_name(std::string_view name) {
  if (name.empty() || name.front() == kHierarchyDelimiter || name.back() == kHierarchyDelimiter ||
      name.find("//") != std::string_view::npos) {
    return tl::unexpected(
        fault(StoreFault::not_allowed, "A mailbox name has no empty level: no leading, trailing or double '/'."));
  }
  if (name.size() > kMaxMailboxName) {
    return tl::unexpected(
        fault(StoreFault::limit, fmt::format("A mailbox name has at most {} octets.", kMaxMailboxName)));
  }
  if (std::count(name.begin(), name.end(), kHierarchyDelimiter) >= static_cast<std::ptrdiff_t>(kMaxMailboxDepth)) {
    return tl::unexpected(
        fault(StoreFault::limit, fmt::format("Mailboxes nest at most {} levels deep.", kMaxMailboxDepth)));
  }
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return tl::unexpected(fault(StoreFault::not_allowed, "A mailbox name has no control characters."));
  }
  return {};
}

/// The first name after everything that begins with "name/", in octet order: '0' follows '/'.
std::string after_children(std::string_view name) {
  return std::string(name) + static_cast<char>(kHierarchyDelimiter + 1);
}

}  // namespace

std::optional<MailboxId> Edit::find(std::string_view name) {
  Rows rows(account_.database_.prepare("SELECT id FROM mailbox WHERE gone = 0 AND name = ?1").bind(name));
  if (!rows.next()) return std::nullopt;
  return rows->integer(0);
}

MailboxId Edit::insert_mailbox(std::string_view name, std::string_view special_use) {
  Database& db = account_.database_;
  // Greater than any before, so that a mailbox made again under an old name is told apart (RFC 9051 2.3.1.1).
  db.prepare("UPDATE state SET uid_validity = max(uid_validity + 1, ?1)").bind(account_.clock_.unix_time()).run();
  db.prepare(
        "INSERT INTO mailbox(name, special_use, uid_validity, uid_next, highest_modseq) "
        "SELECT ?1, ?2, uid_validity, 1, ?3 FROM state")
      .bind(name, special_use, modseq_)
      .run();
  MailboxId id = db.last_insert_id();
  delta(id)->mailbox_changed = true;
  return id;
}

StoreResult<MailboxId> Edit::create_mailbox(std::string_view name, std::string_view special_use) {
  if (auto checked = check_name(name); !checked) return tl::unexpected(checked.error());
  if (find(name)) return tl::unexpected(fault(StoreFault::already_exists, "There is a mailbox of this name already."));
  Database& db = account_.database_;
  auto count = [&](Statement& statement) {
    Rows rows(statement);
    rows.next();
    return rows->integer(0);
  };
  if (count(db.prepare("SELECT count(*) FROM mailbox WHERE gone = 0")) >= static_cast<int64_t>(kMaxMailboxes)) {
    return tl::unexpected(
        fault(StoreFault::limit, fmt::format("An account holds at most {} mailboxes.", kMaxMailboxes)));
  }
  if (!special_use.empty() &&
      count(db.prepare("SELECT count(*) FROM mailbox WHERE gone = 0 AND special_use = ?1").bind(special_use)) > 0) {
    return tl::unexpected(fault(StoreFault::not_allowed, "Another mailbox has this special use already."));
  }
  for (size_t end = name.find(kHierarchyDelimiter); end != std::string_view::npos;
       end = name.find(kHierarchyDelimiter, end + 1)) {
    if (!find(name.substr(0, end))) insert_mailbox(name.substr(0, end), "");
  }
  return insert_mailbox(name, special_use);
}

StoreResult<void> Edit::delete_mailbox(std::string_view name) {
  if (name == "INBOX") return tl::unexpected(fault(StoreFault::not_allowed, "INBOX cannot be deleted."));
  auto id = find(name);
  if (!id) return tl::unexpected(fault(StoreFault::no_such_mailbox, "There is no mailbox of this name."));
  if (account_.expunged_mailbox() == id) return tl::unexpected(fault(StoreFault::not_allowed, kIsOurs));
  Database& db = account_.database_;
  int64_t now = account_.clock_.unix_time();
  remember_tombstones();
  db.prepare(
        "INSERT INTO expunged SELECT NULL, mailbox, uid, ?1, flags, message, size, saved, ?2, 0 FROM entry WHERE "
        "mailbox "
        "= ?3")
      .bind(modseq_, now, *id)
      .run();
  db.prepare("DELETE FROM entry WHERE mailbox = ?1").bind(*id).run();
  Delta* gone = delta(*id);
  gone->mailbox_changed = true;
  gone->mailbox.messages = gone->mailbox.unseen = gone->mailbox.deleted = 0;
  gone->mailbox.size = 0;
  used_.reset();
  used_messages_.reset();
  db.prepare("UPDATE mailbox SET gone = ?1 WHERE id = ?2").bind(now, *id).run();
  return {};
}

StoreResult<void> Edit::rename_mailbox(std::string_view from, std::string_view to) {
  if (auto checked = check_name(to); !checked) return checked;
  auto id = find(from);
  if (!id) return tl::unexpected(fault(StoreFault::no_such_mailbox, "There is no mailbox of this name."));
  if (account_.expunged_mailbox() == id) return tl::unexpected(fault(StoreFault::not_allowed, kIsOurs));
  if (find(to)) return tl::unexpected(fault(StoreFault::already_exists, "There is a mailbox of the new name already."));
  if (from == "INBOX") {
    auto made = create_mailbox(to, "");
    if (!made) return tl::unexpected(made.error());
    auto moved = move(*id, {{1, UINT32_MAX}}, *made);
    if (!moved) return tl::unexpected(moved.error());
    return {};
  }
  std::string children = std::string(from) + kHierarchyDelimiter;
  if (to.starts_with(children)) {
    return tl::unexpected(fault(StoreFault::not_allowed, "A mailbox cannot be moved into itself."));
  }
  for (size_t end = to.find(kHierarchyDelimiter); end != std::string_view::npos;
       end = to.find(kHierarchyDelimiter, end + 1)) {
    if (!find(to.substr(0, end))) insert_mailbox(to.substr(0, end), "");
  }
  Database& db = account_.database_;
  std::vector<std::pair<MailboxId, std::string>> renamed = {{*id, std::string(to)}};
  {
    std::string end = after_children(from);
    Rows rows(
        db.prepare("SELECT id, name FROM mailbox WHERE gone = 0 AND name >= ?1 AND name < ?2").bind(children, end));
    while (rows.next()) {
      renamed.emplace_back(rows->integer(0), std::string(to) + std::string(rows->text(1).substr(from.size())));
    }
  }
  for (const auto& [mailbox, name] : renamed) {
    if (auto checked = check_name(name); !checked) return checked;
    if (find(name))
      return tl::unexpected(fault(StoreFault::already_exists, "There is a mailbox of a new name already."));
    db.prepare("UPDATE mailbox SET name = ?1 WHERE id = ?2").bind(name, mailbox).run();
    delta(mailbox)->mailbox_changed = true;
  }
  return {};
}

StoreResult<void> Edit::subscribe(std::string_view name, bool subscribed) {
  if (auto checked = check_name(name); !checked) return checked;
  Database& db = account_.database_;
  if (subscribed) {
    Rows rows(db.prepare("SELECT count(*) FROM subscription"));
    rows.next();
    if (rows->integer(0) >= static_cast<int64_t>(kMaxMailboxes)) {
      return tl::unexpected(
          fault(StoreFault::limit, fmt::format("An account holds at most {} subscriptions.", kMaxMailboxes)));
    }
    db.prepare("INSERT OR IGNORE INTO subscription VALUES(?1)").bind(name).run();
  } else {
    db.prepare("DELETE FROM subscription WHERE name = ?1").bind(name).run();
  }
  changed_ |= db.changes() > 0;
  return {};
}

}  // namespace postrider::store
