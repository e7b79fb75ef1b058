#include "store/thread_keys.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/header.h"
#include "store/edit_internal.h"

namespace postrider::store {
namespace {

/// FNV-1a.
int64_t hash(std::string_view text) {
  uint64_t value = 14695981039346656037U;
  for (char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return static_cast<int64_t>(value);
}

/// The first and the last "<...>" of a field; empty where there is none.
struct Ids {
  std::string_view first, last;
};
Ids ids_of(std::string_view value) {
  Ids ids;
  size_t begin = value.find('<');
  size_t end = value.find('>', begin == std::string_view::npos ? value.size() : begin);
  if (end == std::string_view::npos) return ids;
  ids.first = value.substr(begin, end + 1 - begin);
  size_t last_end = value.rfind('>');
  size_t last = value.rfind('<', last_end);
  ids.last = last >= begin && last < last_end ? value.substr(last, last_end + 1 - last) : ids.first;
  return ids;
}

}  // namespace

std::vector<int64_t> thread_keys(std::string_view head) {
  std::string_view own, references, answered;
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    if (own.empty() && iequals(field->name, "Message-ID")) own = field->value;
    if (references.empty() && iequals(field->name, "References")) references = field->value;
    if (answered.empty() && iequals(field->name, "In-Reply-To")) answered = field->value;
  }
  Ids above = ids_of(references);
  std::vector<int64_t> keys;
  for (std::string_view id : {ids_of(own).first, above.last, ids_of(answered).first, above.first}) {
    if (!id.empty() && std::find(keys.begin(), keys.end(), hash(id)) == keys.end()) keys.push_back(hash(id));
  }
  return keys;
}

/// The thread that a new message belongs to: that of the first key which is known. All its keys then lead there.
MessageId Edit::join_thread(MessageId message, const std::vector<int64_t>& keys) {
  Database& db = account_.database_;
  MessageId thread = message;
  for (int64_t key : keys) {
    Rows rows(db.prepare("SELECT thread FROM thread_key WHERE id = ?1").bind(key));
    if (!rows.next()) continue;
    thread = rows->integer(0);
    break;
  }
  for (int64_t key : keys) db.prepare("INSERT OR IGNORE INTO thread_key VALUES(?1, ?2)").bind(key, thread).run();
  return thread;
}

MessageId Account::thread_of(MessageId message) {
  Rows rows(database_.prepare("SELECT coalesce(thread, id) FROM message WHERE id = ?1").bind(message));
  return rows.next() ? rows->integer(0) : 0;
}

std::vector<MessageId> Account::thread(MessageId thread) {
  std::vector<MessageId> messages = {thread};
  Rows rows(database_.prepare("SELECT id FROM message WHERE thread = ?1 ORDER BY id").bind(thread));
  while (rows.next()) messages.push_back(rows->integer(0));
  return messages;
}

}  // namespace postrider::store
