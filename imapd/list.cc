#include "imapd/list.h"

#include <algorithm>
#include <map>

#include "imapd/proto/list_pattern.h"
#include "imapd/proto/mailbox_name.h"

namespace postrider::imap {
namespace {

/// A name that LIST may answer: a mailbox, a subscription without one, or a level above either.
struct Node {
  const Listed* listed = nullptr;  // null: \NonExistent
  bool subscribed = false;
  bool has_children = false;  // mailboxes
  bool subscribed_below = false;
  bool special_below = false;
  bool unlisted_below = false;  // something that meets the criteria, and no pattern means it
};
using Tree = std::map<std::string, Node, std::less<>>;

/// Calls visit for every level above a name, the nearest last.
template <class Visit>
void for_each_parent(std::string_view name, Visit&& visit) {
  for (size_t end = name.find(kDelimiter); end != std::string_view::npos; end = name.find(kDelimiter, end + 1)) {
    if (end > 0) visit(name.substr(0, end));
  }
}

Node& node(Tree& tree, std::string_view name) {
  auto found = tree.find(name);
  if (found == tree.end()) found = tree.emplace(std::string(name), Node{}).first;
  return found->second;
}

Tree build(const ListSource& source) {
  Tree tree;
  for (const Listed& listed : source.mailboxes) {
    const store::Mailbox& mailbox = listed.mailbox;
    node(tree, mailbox.name).listed = &listed;
    for_each_parent(mailbox.name, [&](std::string_view parent) {
      Node& above = node(tree, parent);
      above.has_children = true;
      above.special_below |= !mailbox.special_use.empty();
    });
  }
  for (const std::string& name : source.subscriptions) {
    node(tree, name).subscribed = true;
    for_each_parent(name, [&](std::string_view parent) { node(tree, parent).subscribed_below = true; });
  }
  return tree;
}

class Attributes {
 public:
  explicit Attributes(std::string& out) : out_(out) {}
  void add(std::string_view name) {
    if (!first_) out_.push_back(' ');
    first_ = false;
    out_ += name;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

bool selected(const ListCommand& command, const Node& node) {
  if (command.select_subscribed && !node.subscribed) return false;
  if (command.select_special_use && (node.listed == nullptr || node.listed->mailbox.special_use.empty())) return false;
  if (command.select_subscribed) return true;
  return node.listed != nullptr || node.has_children;
}

/// RECURSIVEMATCH (RFC 5258 3.5): something below meets the criteria.
std::string_view child_info(const ListCommand& command, const Node& node) {
  if (!command.select_recursive) return {};
  if (command.select_subscribed && node.subscribed_below) return "\"SUBSCRIBED\"";
  if (command.select_special_use && node.special_below) return "\"SPECIAL-USE\"";
  return {};
}

void append_node(std::string& out, const ListCommand& command, const ListSource& source, std::string_view name,
                 const Node& node, std::string_view child) {
  out += "* LIST (";
  Attributes attributes(out);
  if (node.listed == nullptr) attributes.add(command.extended ? "\\NonExistent" : "\\Noselect");
  if (node.subscribed && (command.select_subscribed || command.return_subscribed)) attributes.add("\\Subscribed");
  attributes.add(node.has_children ? "\\HasChildren" : "\\HasNoChildren");
  if (node.listed != nullptr && !node.listed->mailbox.special_use.empty())
    attributes.add(node.listed->mailbox.special_use);
  append_format(out, ") \"{}\" ", kDelimiter);
  append_mailbox(out, name, source.utf8);
  if (!child.empty()) append_format(out, " (\"CHILDINFO\" ({}))", child);
  out += "\r\n";
  if (node.listed != nullptr) source.details(out, *node.listed);
}

std::vector<ListPattern> compile(const ListCommand& command) {
  std::vector<ListPattern> patterns;
  patterns.reserve(command.patterns.size());
  for (const std::string& pattern : command.patterns) patterns.emplace_back(command.reference, pattern);
  return patterns;
}

bool any_matches(const std::vector<ListPattern>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const ListPattern& pattern) { return pattern.matches(name); });
}

/// For RECURSIVEMATCH: a name that does not meet the criteria itself is told where something below it is not (RFC 5258
/// 3.3).
void mark_unlisted(Tree& tree, const ListCommand& command, const std::vector<ListPattern>& patterns) {
  for (const auto& [name, below] : tree) {
    if (!selected(command, below) || any_matches(patterns, name)) continue;
    for_each_parent(name, [&](std::string_view parent) { node(tree, parent).unlisted_below = true; });
  }
}

}  // namespace

std::string mailbox_id(store::MailboxId mailbox, store::AccountId owner) {
  return owner == 0 ? fmt::format("F{}", mailbox) : fmt::format("F{}-{}", owner, mailbox);
}

StatusValues status_values(store::Account& account, const store::Mailbox& mailbox, unsigned items,
                           uint64_t append_limit, store::AccountId owner) {
  StatusValues values;
  values.mailbox_id = mailbox_id(mailbox.id, owner);
  values.append_limit = append_limit;
  values.messages = mailbox.messages;
  values.uid_next = mailbox.uid_next;
  values.uid_validity = mailbox.uid_validity;
  values.unseen = mailbox.unseen;
  values.deleted = mailbox.deleted;
  values.highest_modseq = static_cast<uint64_t>(std::max<store::ModSeq>(mailbox.highest_modseq, 1));
  values.size = mailbox.size;
  if ((items & kStatusDeletedStorage) != 0 && mailbox.deleted > 0)
    values.deleted_size = account.deleted_bytes(mailbox.id);
  if ((items & kStatusRecent) != 0) values.recent = account.count_from(mailbox.id, mailbox.first_recent);
  return values;
}

void append_selected_name(std::string& out, std::string_view name, std::string_view special_use, bool utf8) {
  append_format(out, "* LIST ({}) \"{}\" ", special_use, kDelimiter);
  append_mailbox(out, name, utf8);
  out += "\r\n";
}

void append_status_line(std::string& out, std::string_view name, unsigned items, const StatusValues& values,
                        bool utf8) {
  out += "* STATUS ";
  append_mailbox(out, name, utf8);
  out += ' ';
  append_status(out, items, values);
  out += "\r\n";
}

void append_list(std::string& out, const ListCommand& command, const ListSource& source) {
  if (!command.extended && command.patterns.front().empty()) {  // asks for the delimiter (RFC 3501 6.3.8)
    append_format(out, "* LIST (\\Noselect) \"{}\" \"\"\r\n", kDelimiter);
    return;
  }
  std::vector<ListPattern> patterns = compile(command);
  Tree tree = build(source);
  if (command.select_recursive) mark_unlisted(tree, command, patterns);
  for (const auto& [name, node] : tree) {
    if (!selected(command, node) && !node.unlisted_below) continue;
    if (any_matches(patterns, name)) append_node(out, command, source, name, node, child_info(command, node));
  }
}

void append_lsub(std::string& out, const ListCommand& command, const ListSource& source) {
  std::vector<ListPattern> patterns = compile(command);
  for (const auto& [name, node] : build(source)) {
    // A name that only has subscribed ones below it is told as \Noselect (RFC 3501 6.3.9).
    if ((!node.subscribed && !node.subscribed_below) || !any_matches(patterns, name)) continue;
    bool itself = node.subscribed && node.listed != nullptr;
    append_format(out, "* LSUB ({}) \"{}\" ", itself ? "" : "\\Noselect", kDelimiter);
    append_mailbox(out, name, source.utf8);
    out += "\r\n";
  }
}

}  // namespace postrider::imap
