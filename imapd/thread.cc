#include "imapd/thread.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "common/base/format.h"

namespace postrider::imap {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

/// A message, or a place where one was that others name (RFC 5256: a dummy).
struct Node {
  const ThreadMessage* message = nullptr;
  uint32_t parent = kNone;
  std::vector<uint32_t> children;
};

class Forest {
 public:
  uint32_t add(const ThreadMessage* message) {
    nodes_.push_back(Node{message, kNone, {}});
    return static_cast<uint32_t>(nodes_.size() - 1);
  }
  Node& operator[](uint32_t index) { return nodes_[index]; }
  const Node& operator[](uint32_t index) const { return nodes_[index]; }
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }

  /// Whether child may go under parent: no circle, and no chain without end.
  bool may_link(uint32_t parent, uint32_t child) const {
    size_t depth = 0;
    for (uint32_t at = parent; at != kNone; at = nodes_[at].parent) {
      if (at == child || ++depth > kMaxThreadDepth) return false;
    }
    return true;
  }
  void link(uint32_t parent, uint32_t child) {
    unlink(child);
    nodes_[child].parent = parent;
    nodes_[parent].children.push_back(child);
  }
  void unlink(uint32_t child) {
    uint32_t parent = nodes_[child].parent;
    if (parent == kNone) return;
    std::erase(nodes_[parent].children, child);
    nodes_[child].parent = kNone;
  }

  /// The message itself, or the first one below a dummy.
  const ThreadMessage& face(uint32_t index) const {
    while (nodes_[index].message == nullptr) index = nodes_[index].children.front();
    return *nodes_[index].message;
  }
  void sort(std::vector<uint32_t>& siblings) const {
    std::stable_sort(siblings.begin(), siblings.end(), [this](uint32_t a, uint32_t b) {
      const ThreadMessage& left = face(a);
      const ThreadMessage& right = face(b);
      return left.sent != right.sent ? left.sent < right.sent : left.number < right.number;
    });
  }
  /// All below these, the deepest first.
  std::vector<uint32_t> from_below(const std::vector<uint32_t>& roots) const {
    std::vector<uint32_t> order = roots;
    for (size_t i = 0; i < order.size(); ++i) {
      const auto& children = nodes_[order[i]].children;
      order.insert(order.end(), children.begin(), children.end());
    }
    std::reverse(order.begin(), order.end());
    return order;
  }

 private:
  std::vector<Node> nodes_;
};

/// Without recursion: a chain may be long.
std::string format(const Forest& forest, const std::vector<uint32_t>& roots) {
  std::string out;
  struct Open {
    const std::vector<uint32_t>* siblings;
    size_t next;
  };
  std::vector<Open> stack = {{&roots, 0}};
  while (!stack.empty()) {
    Open& top = stack.back();
    if (top.next == top.siblings->size()) {
      stack.pop_back();
      if (!stack.empty()) out.push_back(')');
      continue;
    }
    out.push_back('(');
    uint32_t at = (*top.siblings)[top.next++];
    // A line of only children, then where it forks.
    for (bool first = true;; first = false) {
      const Node& node = forest[at];
      if (node.message != nullptr) append_format(out, "{}{}", first ? "" : " ", node.message->number);
      if (node.children.size() != 1) break;
      at = node.children.front();
    }
    const Node& fork = forest[at];
    if (!fork.children.empty() && fork.message != nullptr) out.push_back(' ');
    stack.push_back({&fork.children, 0});
  }
  return out;
}

class ReferencesThreader {
 public:
  explicit ReferencesThreader(const std::vector<ThreadMessage>& messages) : messages_(messages) {}

  std::string run() {
    for (const ThreadMessage& message : messages_) place(message);
    std::vector<uint32_t> roots = prune();
    for (uint32_t at : forest_.from_below(roots)) forest_.sort(forest_[at].children);
    forest_.sort(roots);
    roots = join_subjects(std::move(roots));
    for (uint32_t at : forest_.from_below(roots)) forest_.sort(forest_[at].children);
    forest_.sort(roots);
    return format(forest_, roots);
  }

 private:
  uint32_t node_of(const std::string& id) {
    auto [found, added] = by_id_.try_emplace(id, 0);
    if (added) found->second = forest_.add(nullptr);
    return found->second;
  }

  // Step 1.
  void place(const ThreadMessage& message) {
    uint32_t parent = kNone;
    for (const std::string& reference : message.references) {
      if (by_id_.size() > 4 * messages_.size() + 1'000) break;  // names of what is not here are cheap to make up
      uint32_t next = node_of(reference);
      if (parent != kNone && forest_[next].parent == kNone && forest_.may_link(parent, next))
        forest_.link(parent, next);
      parent = next;
    }
    uint32_t own = message.id.empty() ? forest_.add(nullptr) : node_of(message.id);
    if (forest_[own].message != nullptr) own = forest_.add(nullptr);  // the same Message-ID twice
    forest_[own].message = &message;
    forest_.unlink(own);
    if (parent != kNone && forest_.may_link(parent, own)) forest_.link(parent, own);
  }

  // Steps 2 and 3: dummies without children go, and those with children give them to their parents.
  std::vector<uint32_t> prune() {
    std::vector<uint32_t> roots;
    for (uint32_t i = 0; i < forest_.size(); ++i) {
      if (forest_[i].parent == kNone) roots.push_back(i);
    }
    for (uint32_t at : forest_.from_below(roots)) {
      std::vector<uint32_t> kept;
      for (uint32_t child : forest_[at].children) {
        if (forest_[child].message != nullptr) {
          kept.push_back(child);
          continue;
        }
        for (uint32_t grandchild : forest_[child].children) {
          forest_[grandchild].parent = at;
          kept.push_back(grandchild);
        }
      }
      forest_[at].children = std::move(kept);
    }
    std::vector<uint32_t> left;
    for (uint32_t root : roots) {
      Node& node = forest_[root];
      if (node.message != nullptr || node.children.size() > 1) {
        left.push_back(root);
      } else if (node.children.size() == 1) {
        left.push_back(node.children.front());
        forest_[left.back()].parent = kNone;
      }
    }
    return left;
  }

  bool is_dummy(uint32_t at) const { return forest_[at].message == nullptr; }
  bool is_reply(uint32_t at) const { return forest_.face(at).subject.reply_or_forward; }

  // Step 5: threads of one base subject become one.
  std::vector<uint32_t> join_subjects(std::vector<uint32_t> roots) {
    std::unordered_map<std::string_view, uint32_t> by_subject;
    for (uint32_t root : roots) {
      std::string_view subject = forest_.face(root).subject.text;
      if (subject.empty()) continue;
      auto [entry, added] = by_subject.try_emplace(subject, root);
      if (added) continue;
      uint32_t there = entry->second;
      bool better = (is_dummy(root) && !is_dummy(there)) || (!is_dummy(there) && is_reply(there) && !is_reply(root));
      if (better) entry->second = root;
    }
    std::vector<uint32_t> joined;
    std::unordered_map<uint32_t, uint32_t> put_under;  // a root that became the child of a new dummy
    for (uint32_t root : roots) {
      std::string_view subject = forest_.face(root).subject.text;
      auto entry = by_subject.find(subject);
      if (subject.empty() || entry->second == root || put_under.contains(root)) {
        joined.push_back(root);
        continue;
      }
      merge(root, entry->second, put_under);
    }
    for (uint32_t& root : joined) {
      if (auto moved = put_under.find(root); moved != put_under.end()) root = moved->second;
    }
    return joined;
  }

  void merge(uint32_t root, uint32_t& target, std::unordered_map<uint32_t, uint32_t>& put_under) {
    if (is_dummy(target) && is_dummy(root)) {
      for (uint32_t child : std::vector<uint32_t>(forest_[root].children)) forest_.link(target, child);
    } else if (is_dummy(target) || (is_reply(root) && !is_reply(target))) {
      forest_.link(target, root);
    } else {
      uint32_t dummy = forest_.add(nullptr);
      put_under.emplace(target, dummy);
      forest_.link(dummy, target);
      forest_.link(dummy, root);
      target = dummy;
    }
  }

  const std::vector<ThreadMessage>& messages_;
  Forest forest_;
  std::unordered_map<std::string, uint32_t> by_id_;
};

}  // namespace

std::string first_message_id(std::string_view field) {
  size_t open = field.find('<');
  if (open == std::string_view::npos) return {};
  size_t close = field.find('>', open);
  if (close == std::string_view::npos) return {};
  return std::string(field.substr(open + 1, close - open - 1));
}

std::vector<std::string> parse_references(std::string_view references, std::string_view in_reply_to) {
  std::vector<std::string> ids;
  for (size_t open = references.find('<'); open != std::string_view::npos; open = references.find('<', open)) {
    size_t close = references.find('>', open);
    if (close == std::string_view::npos) break;
    if (close > open + 1) ids.emplace_back(references.substr(open + 1, close - open - 1));
    open = close;
  }
  if (ids.size() > kMaxReferences) ids.erase(ids.begin(), ids.end() - kMaxReferences);
  if (ids.empty()) {
    std::string id = first_message_id(in_reply_to);
    if (!id.empty()) ids.push_back(std::move(id));
  }
  return ids;
}

std::string thread_by_subject(std::vector<ThreadMessage> messages) {
  auto by_date = [](const ThreadMessage& a, const ThreadMessage& b) {
    return a.sent != b.sent ? a.sent < b.sent : a.number < b.number;
  };
  std::sort(messages.begin(), messages.end(), by_date);
  Forest forest;
  std::vector<uint32_t> roots;
  std::unordered_map<std::string_view, uint32_t> by_subject;
  for (const ThreadMessage& message : messages) {
    uint32_t node = forest.add(&message);
    auto [entry, added] = by_subject.try_emplace(message.subject.text, node);
    if (added) {
      roots.push_back(node);
    } else {
      forest.link(entry->second, node);
    }
  }
  return format(forest, roots);
}

std::string thread_by_references(const std::vector<ThreadMessage>& messages) {
  return ReferencesThreader(messages).run();
}

}  // namespace postrider::imap
