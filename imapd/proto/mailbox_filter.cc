#include "imapd/proto/mailbox_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "imapd/proto/mailbox_name.h"

namespace postrider::imap {
namespace {

using Kind = MailboxFilter::Kind;

struct FilterName {
  std::string_view name;
  Kind kind;
};
constexpr FilterName kFilters[] = {
    {"SELECTED", Kind::selected},       {"SELECTED-DELAYED", Kind::selected_delayed},
    {"INBOXES", Kind::inboxes},         {"PERSONAL", Kind::personal},
    {"SUBSCRIBED", Kind::subscribed},   {"SUBTREE", Kind::subtree},
    {"SUBTREE-ONE", Kind::subtree_one}, {"MAILBOXES", Kind::mailboxes},
};

bool is_below(std::string_view name, std::string_view parent, bool one_level) {
  if (name == parent) return true;
  if (!name.starts_with(parent) || name.size() <= parent.size() || name[parent.size()] != kDelimiter) return false;
  return !one_level || name.find(kDelimiter, parent.size() + 1) == std::string_view::npos;
}

}  // namespace

bool parse_mailbox_filter(Cursor& cursor, MailboxFilter& out, size_t& names) {
  std::string word;
  if (!cursor.word(word)) return false;
  auto known = std::find_if(std::begin(kFilters), std::end(kFilters), [&](const auto& f) { return f.name == word; });
  if (known == std::end(kFilters)) return cursor.fail(fmt::format("There is no mailbox filter {}.", word));
  out.kind = known->kind;
  if (out.kind != Kind::subtree && out.kind != Kind::subtree_one && out.kind != Kind::mailboxes) return true;
  auto name = [&] {
    if (++names > kMaxFilterNames) return cursor.fail("There are too many mailbox names.");
    return cursor.mailbox(out.names.emplace_back());
  };
  if (!cursor.space()) return false;
  return cursor.peek() == '(' ? cursor.list(name) : name();
}

bool matches(const MailboxFilter& filter, std::string_view mailbox, bool subscribed, bool own) {
  auto any = [&](auto&& fits) { return std::any_of(filter.names.begin(), filter.names.end(), fits); };
  switch (filter.kind) {
    case Kind::selected:
    case Kind::selected_delayed:
      return false;
    case Kind::inboxes:
      return own && mailbox == "INBOX";
    case Kind::personal:
      return own;
    case Kind::subscribed:
      return subscribed;
    case Kind::subtree:
      return any([&](const std::string& name) { return is_below(mailbox, name, false); });
    case Kind::subtree_one:
      return any([&](const std::string& name) { return is_below(mailbox, name, true); });
    case Kind::mailboxes:
      return any([&](const std::string& name) { return mailbox == name; });
  }
  return false;
}

}  // namespace postrider::imap
