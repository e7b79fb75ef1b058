#include "imapd/proto/parser.h"

#include <fmt/format.h>

#include "common/base/ascii.h"

namespace postrider::imap {
namespace {

struct StatusName {
  std::string_view name;
  StatusItem item;
};
constexpr StatusName kStatusNames[] = {{"MESSAGES", kStatusMessages},   {"RECENT", kStatusRecent},
                                       {"UIDNEXT", kStatusUidNext},     {"UIDVALIDITY", kStatusUidValidity},
                                       {"UNSEEN", kStatusUnseen},       {"HIGHESTMODSEQ", kStatusHighestModSeq},
                                       {"SIZE", kStatusSize},           {"DELETED", kStatusDeleted},
                                       {"MAILBOXID", kStatusMailboxId}, {"APPENDLIMIT", kStatusAppendLimit}};

bool status_item(Cursor& cursor, unsigned& items) {
  std::string name;
  if (!cursor.word(name)) return false;
  for (const StatusName& known : kStatusNames) {
    if (name == known.name) {
      items |= known.item;
      return true;
    }
  }
  return cursor.fail(fmt::format("STATUS knows no item {}.", name));
}

bool status_items(Cursor& cursor, unsigned& items) {
  return cursor.list([&] { return status_item(cursor, items); });
}

bool list_selection(Cursor& cursor, ListCommand& out) {
  std::string name;
  if (!cursor.word(name)) return false;
  if (name == "SUBSCRIBED") return out.select_subscribed = true;
  if (name == "REMOTE") return out.select_remote = true;
  if (name == "RECURSIVEMATCH") return out.select_recursive = true;
  if (name == "SPECIAL-USE") return out.select_special_use = true;
  return cursor.fail(fmt::format("LIST knows no selection option {}.", name));
}

bool list_return(Cursor& cursor, ListCommand& out) {
  std::string name;
  if (!cursor.word(name)) return false;
  if (name == "SUBSCRIBED") return out.return_subscribed = true;
  if (name == "CHILDREN") return out.return_children = true;
  if (name == "SPECIAL-USE") return out.return_special_use = true;
  if (name == "MYRIGHTS") return out.return_my_rights = true;
  if (name == "STATUS") return cursor.space() && status_items(cursor, out.return_status);
  if (name == "METADATA") return cursor.space() && parse_metadata_entries(cursor, out.return_metadata);
  return cursor.fail(fmt::format("LIST knows no return option {}.", name));
}

// select-param =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
bool resync(Cursor& cursor, Resync& out) {
  if (!cursor.expect('(') || !cursor.nz_number(out.uid_validity) || !cursor.space() || !cursor.number64(out.modseq))
    return false;
  if (out.modseq == 0) return cursor.fail("The modification sequence must not be 0.");
  if (cursor.peek() == ' ' && !istarts_with(cursor.rest(), " (")) {
    cursor.skip(' ');
    if (!cursor.sequence_set(out.known.emplace())) return false;
    if (out.known->saved) return cursor.fail("Known UIDs are written as numbers.");
  }
  // Pairs of message numbers and UIDs save work where expunges are not remembered; here they are.
  SequenceSet numbers, uids;
  if (cursor.skip(' ') && !(cursor.expect('(') && cursor.sequence_set(numbers) && cursor.space() &&
                            cursor.sequence_set(uids) && cursor.expect(')')))
    return false;
  return cursor.expect(')');
}

bool list_pattern(Cursor& cursor, ListCommand& out) {
  if (out.patterns.size() >= kMaxListPatterns) return cursor.fail("There are too many patterns.");
  return cursor.list_mailbox(out.patterns.emplace_back());
}

bool list_patterns(Cursor& cursor, ListCommand& out) {
  if (cursor.peek() != '(') return list_pattern(cursor, out);
  out.extended = true;
  return cursor.list([&] { return list_pattern(cursor, out); });
}

bool store_modifier(Cursor& cursor, StoreCommand& out) {
  std::string name;
  if (!cursor.word(name)) return false;
  if (name != "UNCHANGEDSINCE") return cursor.fail(fmt::format("STORE knows no modifier {}.", name));
  return cursor.space() && cursor.number64(out.unchanged_since.emplace());
}

bool store_action(Cursor& cursor, StoreCommand& out) {
  if (cursor.skip('+')) {
    out.action = StoreCommand::Action::add;
  } else if (cursor.skip('-')) {
    out.action = StoreCommand::Action::remove;
  }
  std::string name;
  if (!cursor.word(name)) return false;
  out.silent = name == "FLAGS.SILENT";
  return out.silent || name == "FLAGS" || cursor.fail("STORE changes FLAGS or FLAGS.SILENT.");
}

}  // namespace

bool parse_verb(Cursor& cursor, std::string& tag, std::string& verb) {
  if (!cursor.tag(tag) || !cursor.space() || !cursor.word(verb)) return false;
  if (verb != "UID") return true;
  std::string second;
  if (!cursor.space() || !cursor.word(second)) return false;
  verb += ' ';
  verb += second;
  return true;
}

bool parse_nothing(Cursor& cursor) {
  return cursor.end();
}

bool parse_login(Cursor& cursor, LoginCommand& out) {
  return cursor.space() && cursor.astring(out.user) && cursor.space() && cursor.astring(out.password) && cursor.end();
}

bool parse_authenticate(Cursor& cursor, AuthenticateCommand& out) {
  if (!cursor.space() || !cursor.word(out.mechanism)) return false;
  if (!cursor.skip(' ')) return cursor.end();
  std::string_view initial;
  if (!cursor.atom(initial)) return false;
  out.initial = initial;
  return cursor.end();
}

bool parse_enable(Cursor& cursor, EnableCommand& out) {
  if (!cursor.space()) return false;
  do {
    if (!cursor.word(out.names.emplace_back())) return false;
  } while (cursor.skip(' '));
  return cursor.end();
}

bool parse_compress(Cursor& cursor, std::string& algorithm) {
  return cursor.space() && cursor.word(algorithm) && cursor.end();
}

bool parse_cancel_update(Cursor& cursor, std::vector<std::string>& tags) {
  do {
    if (tags.size() >= kMaxCancelledTags) return cursor.fail("There are too many tags.");
    if (!cursor.space() || !cursor.string(tags.emplace_back())) return false;
  } while (!cursor.at_end());
  return true;
}

bool parse_language(Cursor& cursor, std::vector<std::string>& tags) {
  while (cursor.skip(' ')) {
    if (tags.size() >= kMaxLanguages) return cursor.fail("There are too many languages.");
    if (!cursor.astring(tags.emplace_back())) return false;
  }
  return cursor.end();
}

bool parse_id(Cursor& cursor, IdCommand& out) {
  if (!cursor.space()) return false;
  if (cursor.skip_word("NIL")) return cursor.end();
  auto field = [&] {
    if (out.fields.size() >= kMaxIdFields) return cursor.fail("ID has at most 30 fields.");
    auto& [name, value] = out.fields.emplace_back();
    return cursor.string(name) && cursor.space() && cursor.nstring(value);
  };
  return cursor.list(field, true) && cursor.end();
}

bool parse_select(Cursor& cursor, SelectCommand& out) {
  if (!cursor.space() || !cursor.mailbox(out.mailbox)) return false;
  auto parameter = [&] {
    std::string name;
    if (!cursor.word(name)) return false;
    if (name == "CONDSTORE") return out.condstore = true;
    if (name == "QRESYNC") return cursor.space() && resync(cursor, out.resync.emplace());
    return cursor.fail(fmt::format("SELECT knows no parameter {}.", name));
  };
  if (cursor.skip(' ') && !cursor.list(parameter)) return false;
  return cursor.end();
}

bool parse_mailbox(Cursor& cursor, std::string& out) {
  return cursor.space() && cursor.mailbox(out) && cursor.end();
}

bool parse_create(Cursor& cursor, CreateCommand& out) {
  if (!cursor.space() || !cursor.mailbox(out.mailbox)) return false;
  auto use = [&] {
    std::string_view name;
    if (!cursor.expect('\\') || !cursor.atom(name)) return false;
    out.use.push_back(fmt::format("\\{}", name));
    return true;
  };
  auto parameter = [&] {
    std::string name;
    if (!cursor.word(name)) return false;
    if (name != "USE") return cursor.fail(fmt::format("CREATE knows no parameter {}.", name));
    return cursor.space() && cursor.list(use, true);
  };
  if (cursor.skip(' ') && !cursor.list(parameter)) return false;
  return cursor.end();
}

bool parse_rename(Cursor& cursor, RenameCommand& out) {
  return cursor.space() && cursor.mailbox(out.from) && cursor.space() && cursor.mailbox(out.to) && cursor.end();
}

bool parse_list(Cursor& cursor, ListCommand& out) {
  if (!cursor.space()) return false;
  if (cursor.peek() == '(') {
    out.extended = true;
    if (!cursor.list([&] { return list_selection(cursor, out); }, true) || !cursor.space()) return false;
    bool only_modifiers = !out.select_subscribed && !out.select_special_use;
    if (out.select_recursive && only_modifiers) return cursor.fail("RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE.");
  }
  if (!cursor.list_mailbox(out.reference) || !cursor.space() || !list_patterns(cursor, out)) return false;
  if (!cursor.skip(' ')) return cursor.end();
  out.extended = true;
  if (!cursor.skip_word("RETURN")) return cursor.fail("RETURN is missing.");
  return cursor.space() && cursor.list([&] { return list_return(cursor, out); }, true) && cursor.end();
}

bool parse_lsub(Cursor& cursor, ListCommand& out) {
  out.select_subscribed = true;
  return cursor.space() && cursor.list_mailbox(out.reference) && cursor.space() && list_pattern(cursor, out) &&
         cursor.end();
}

bool parse_status(Cursor& cursor, StatusCommand& out) {
  return cursor.space() && cursor.mailbox(out.mailbox) && cursor.space() && status_items(cursor, out.items) &&
         cursor.end();
}

bool parse_set_acl(Cursor& cursor, AclCommand& out) {
  return cursor.space() && cursor.mailbox(out.mailbox) && cursor.space() && cursor.astring(out.identifier) &&
         cursor.space() && cursor.astring(out.rights) && cursor.end();
}

bool parse_acl(Cursor& cursor, AclCommand& out) {
  return cursor.space() && cursor.mailbox(out.mailbox) && cursor.space() && cursor.astring(out.identifier) &&
         cursor.end();
}

bool parse_append(Cursor& cursor, AppendCommand& out) {
  return cursor.space() && cursor.mailbox(out.mailbox);
}

bool parse_replace(Cursor& cursor, ReplaceCommand& out) {
  return cursor.space() && (cursor.skip('*') || cursor.nz_number(out.number)) && cursor.space() &&
         cursor.mailbox(out.mailbox);
}

bool parse_uid_expunge(Cursor& cursor, SequenceSet& out) {
  return cursor.space() && cursor.sequence_set(out) && cursor.end();
}

bool parse_store(Cursor& cursor, StoreCommand& out) {
  if (!cursor.space() || !cursor.sequence_set(out.set) || !cursor.space()) return false;
  if (cursor.peek() == '(') {
    if (!cursor.list([&] { return store_modifier(cursor, out); }) || !cursor.space()) return false;
  }
  if (!store_action(cursor, out) || !cursor.space()) return false;
  if (cursor.peek() == '(') return cursor.flag_list(out.flags) && cursor.end();
  do {
    if (!cursor.flag(out.flags)) return false;
  } while (cursor.skip(' '));
  return cursor.end();
}

bool parse_copy(Cursor& cursor, CopyCommand& out) {
  return cursor.space() && cursor.sequence_set(out.set) && cursor.space() && cursor.mailbox(out.mailbox) &&
         cursor.end();
}

}  // namespace postrider::imap
