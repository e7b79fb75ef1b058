// A client that only listens to NOTIFY knows at any time what it would find if it asked: names, attributes and counts,
// and nothing of what the user may not know.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "common/base/number.h"
#include "imapd/notify.h"

namespace postrider::imap {
namespace {

constexpr std::string_view kRoot = "Other users/alice@example.test/";
constexpr std::string_view kHidden = "hidden";  // of names that the user may not know

/// What is known of a mailbox by its name.
struct Seen {
  std::set<std::string> attributes;
  uint32_t messages = 0, uid_next = 1;  // where it can be read
};
using View = std::map<std::string, Seen>;

std::string format(const View& view) {
  std::string text;
  for (const auto& [name, seen] : view)
    text += fmt::format("{} {} {} {}\n", name, fmt::join(seen.attributes, " "), seen.messages, seen.uid_next);
  return text;
}

/// The mailboxes of an account, changed at random.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void change() {
    ++modseq_;
    switch (pick(9)) {
      case 0:
      case 1:
        return create();
      case 2:
        return rename();
      case 3:
        return swap();
      case 4:
        if (!all_.empty()) all_.erase(any());
        return;
      case 5:
        return share();
      case 6:
        return subscribe();
      case 7:
        return with_any([&](store::Mailbox& mailbox) {
          if (mailbox.messages > 0) --mailbox.messages;
        });
      default:
        return with_any([&](store::Mailbox& mailbox) {
          ++mailbox.messages;
          ++mailbox.uid_next;
        });
    }
  }

  Notify::Picture picture(store::AccountId owner) const {
    Notify::Picture now;
    now.owner = owner;
    now.modseq = modseq_;
    for (const auto& [id, one] : all_) {
      if ((one.rights & store::right::kLookup) == 0) continue;
      Listed listed{one.mailbox, owner, one.rights};
      listed.mailbox.name.insert(0, kRoot);
      listed.mailbox.subscribed = subscribed_.contains(listed.mailbox.name);
      now.mailboxes.push_back(std::move(listed));
    }
    std::sort(now.mailboxes.begin(), now.mailboxes.end(),
              [](const Listed& a, const Listed& b) { return a.mailbox.name < b.mailbox.name; });
    return now;
  }
  /// What LIST and STATUS would say.
  View view() const {
    View view;
    Notify::Picture now = picture(7);
    for (const Listed& listed : now.mailboxes) {
      Seen& seen = view[listed.mailbox.name];
      auto below = [&](const Listed& other) { return other.mailbox.name.starts_with(listed.mailbox.name + "/"); };
      bool children = std::any_of(now.mailboxes.begin(), now.mailboxes.end(), below);
      seen.attributes.insert(children ? "\\HasChildren" : "\\HasNoChildren");
      if (listed.mailbox.subscribed) seen.attributes.insert("\\Subscribed");
      if ((listed.rights & store::right::kRead) == 0) {
        seen.attributes.insert("\\NoAccess");
        continue;
      }
      seen.messages = listed.mailbox.messages;
      seen.uid_next = listed.mailbox.uid_next;
    }
    return view;
  }
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

 private:
  struct One {
    store::Mailbox mailbox;
    store::Rights rights = 0;
  };
  using All = std::map<store::MailboxId, One>;
  All::iterator any() { return std::next(all_.begin(), pick(static_cast<uint32_t>(all_.size()))); }
  void with_any(const std::function<void(store::Mailbox&)>& change) {
    if (all_.empty()) return;
    store::Mailbox& mailbox = any()->second.mailbox;
    mailbox.highest_modseq = modseq_;
    change(mailbox);
  }
  bool exists(std::string_view name) const {
    return std::any_of(all_.begin(), all_.end(), [&](const auto& one) { return one.second.mailbox.name == name; });
  }
  std::string name() {
    std::string text(1, static_cast<char>('A' + pick(4)));
    for (uint32_t depth = pick(3); depth > 0; --depth) text += fmt::format("/{}", static_cast<char>('A' + pick(4)));
    return text;
  }
  void create() {
    One one;
    one.mailbox.name = name();
    if (exists(one.mailbox.name)) return;
    one.mailbox.id = ++last_id_;
    one.mailbox.highest_modseq = modseq_;
    one.rights = store::right::kLookup | store::right::kRead;
    all_.emplace(last_id_, one);
  }
  void move(const std::string& from, const std::string& to) {
    for (auto& [id, one] : all_) {
      std::string& text = one.mailbox.name;
      if (text == from || text.starts_with(from + "/")) text = to + text.substr(from.size());
    }
  }
  bool free(const std::string& root) const {
    return std::none_of(all_.begin(), all_.end(), [&](const auto& one) {
      return one.second.mailbox.name == root || one.second.mailbox.name.starts_with(root + "/");
    });
  }
  static bool is_hidden(std::string_view name) { return name.starts_with(kHidden); }
  void rename() {
    if (all_.empty()) return;
    std::string from = any()->second.mailbox.name, to = name();
    if (to.starts_with(from) || !free(to) || is_hidden(from)) return;
    move(from, to);
  }
  void swap() {
    if (all_.empty()) return;
    std::string a = any()->second.mailbox.name, b = any()->second.mailbox.name;
    if (a.starts_with(b) || b.starts_with(a) || is_hidden(a) || is_hidden(b)) return;
    move(a, "between");
    move(b, a);
    move("between", b);
  }
  /// What may not be seen has a name that may not be heard.
  void share() {
    if (all_.empty()) return;
    One& one = any()->second;
    const uint32_t kind = pick(3);
    one.rights = kind == 0 ? 0 : kind == 1 ? store::right::kLookup : store::right::kLookup | store::right::kRead;
    one.mailbox.name = one.rights == 0 ? fmt::format("{}{}", kHidden, one.mailbox.id) : name();
    auto same = [&](const auto& other) { return other.second.mailbox.name == one.mailbox.name; };
    if (std::count_if(all_.begin(), all_.end(), same) > 1) one.mailbox.name = fmt::format("own{}", ++fresh_);
  }
  void subscribe() {
    if (all_.empty()) return;
    std::string text = std::string(kRoot) + any()->second.mailbox.name;
    if (subscribed_.erase(text) == 0) subscribed_.insert(text);
  }

  std::mt19937 random_;
  All all_;
  std::set<std::string> subscribed_;
  store::MailboxId last_id_ = 0;
  int fresh_ = 0;  // names that no other mailbox ever has
  store::ModSeq modseq_ = 1;
};

/// The string at the front, quoted or not, and what follows it.
std::string take_name(std::string_view& text) {
  const bool quoted = text.starts_with('"');
  if (quoted) text.remove_prefix(1);
  size_t end = std::min(text.find_first_of(quoted ? "\"" : " )"), text.size());
  std::string name(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return name;
}

/// Does with a view what a client does with the responses that it hears.
class Listener {
 public:
  explicit Listener(View& view) : view_(view) {}

  void hear(std::string_view text) {
    while (!text.empty()) {
      std::string_view line = text.substr(0, text.find("\r\n"));
      text.remove_prefix(line.size() + 2);
      if (line.starts_with("* LIST (")) {
        hear_list(line.substr(8));
      } else if (line.starts_with("* STATUS ")) {
        hear_status(line.substr(9));
      } else {
        ADD_FAILURE() << line;
      }
    }
  }

 private:
  void hear_list(std::string_view line) {
    std::set<std::string> attributes;
    size_t end = line.find(')');
    for (std::string_view words = line.substr(0, end); !words.empty();) attributes.insert(take_name(words));
    line.remove_prefix(end + std::string_view(") \"/\" ").size());
    std::string name = take_name(line);
    if (attributes.contains("\\NonExistent")) {
      EXPECT_EQ(view_.erase(name), 1u) << name;
      return;
    }
    constexpr std::string_view kOldName = "(\"OLDNAME\" (";
    if (size_t old = line.find(kOldName); old != std::string_view::npos) {
      line.remove_prefix(old + kOldName.size());
      move(take_name(line), name);
    }
    Seen& seen = view_[name];
    if (attributes.contains("\\NoAccess") || seen.attributes.contains("\\NoAccess"))
      seen.messages = 0, seen.uid_next = 1;
    seen.attributes = std::move(attributes);
  }
  void move(const std::string& from, const std::string& to) {
    EXPECT_TRUE(view_.contains(from)) << from;
    View before = std::exchange(view_, {});
    for (auto& [name, seen] : before) {
      if (name != from && !name.starts_with(from + "/")) view_.emplace(name, seen);
    }
    for (auto& [name, seen] : before) {
      if (name == from || name.starts_with(from + "/")) view_[to + name.substr(from.size())] = seen;
    }
  }
  void hear_status(std::string_view line) {
    std::string name = take_name(line);
    unsigned messages = 0, uid_next = 0;
    std::string items(line.substr(line.find('(')));
    ASSERT_EQ(std::sscanf(items.c_str(), "(MESSAGES %u UIDNEXT %u", &messages, &uid_next), 2) << items;
    ASSERT_TRUE(view_.contains(name)) << name;
    view_[name].messages = messages;
    view_[name].uid_next = uid_next;
  }
  View& view_;
};

NotifyCommand everything() {
  NotifyCommand command;
  NotifyGroup& group = command.groups.emplace_back();
  group.filter.kind = MailboxFilter::Kind::subtree;
  group.filter.names = {"Other users"};
  group.events = kMessageNew | kMessageExpunge | kFlagChange | kMailboxName | kSubscriptionChange;
  return command;
}

TEST(NotifyModel, TellsAllThatMayBeKnownAndNothingElse) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    Model model(seed);
    for (int i = 0; i < 10; ++i) model.change();
    Notify notify(everything());
    std::string out;
    Notify::Teller teller{out};
    notify.begin(model.picture(7), true, teller);
    View heard = model.view();
    out.clear();
    for (int round = 0; round < 40; ++round) {
      for (uint32_t i = 1 + model.pick(4); i > 0; --i) model.change();
      notify.report(model.picture(7), teller);
      Listener(heard).hear(out);
      EXPECT_EQ(out.find(kHidden), std::string::npos) << out;
      ASSERT_EQ(format(heard), format(model.view())) << "seed " << seed << ", round " << round << "\n" << out;
      out.clear();
    }
  }
}

}  // namespace
}  // namespace postrider::imap
