#include "store/search_index.h"

#include <algorithm>
#include <chrono>

#include "common/base/log.h"
#include "store/writer_lock.h"

namespace postrider::store {
namespace {

constexpr std::chrono::milliseconds kReading{20};  // of messages, before what was read is written

/// All of the names, or the one that stands for all.
std::string match_expression(const std::vector<std::string>& names) {
  std::string expression;
  for (const std::string& name : names) {
    expression += expression.empty() ? "(" : " AND ";
    expression += name;
  }
  expression += ") OR ";
  expression += kEveryName;
  return expression;
}

}  // namespace

bool SearchCandidates::may_hold(MessageId message) const {
  return message > indexed_to || std::binary_search(messages.begin(), messages.end(), message);
}

std::optional<SearchCandidates> SearchIndex::candidates(std::string_view folded) {
  const std::vector<std::string> names = required_trigrams(folded);
  if (names.empty()) return std::nullopt;
  try {
    return find(names);
  } catch (const SqliteError& error) {
    drop_if_damaged(error);
    return std::nullopt;
  }
}

void SearchIndex::drop_if_damaged(const SqliteError& error) {
  if (!error.is_corrupt_index()) throw error;
  log_warn("search_index_damaged", {{"account", account_.id()}, {"reason", error.what()}, {"so", "it is made anew"}});
  drop();
}

std::optional<SearchCandidates> SearchIndex::find(const std::vector<std::string>& names) {
  SearchCandidates found;
  ReadTransaction transaction(account_.database_);
  {
    Rows state(account_.database_.prepare("SELECT indexed_to FROM search_state"));
    if (state.next()) found.indexed_to = state->integer(0);
  }
  if (found.indexed_to == 0) return std::nullopt;
  const std::string expression = match_expression(names);
  Rows rows(
      account_.database_.prepare("SELECT rowid FROM search WHERE search MATCH ?1 ORDER BY rowid").bind(expression));
  while (rows.next()) found.messages.push_back(rows->integer(0));
  return found;
}

/// Names by message, as they were read without the writers' lock.
struct SearchIndex::Filling {
  MessageId after = 0;  // what was the last one in the index
  MessageId last = 0;   // what will be
  std::vector<std::pair<MessageId, std::string>> names;
};

SearchIndex::Filling SearchIndex::read_next(TrigramSet& trigrams, const Reader& read) {
  Filling filling;
  const auto deadline = std::chrono::steady_clock::now() + kReading;
  size_t octets = 0;
  ReadTransaction transaction(account_.database_);
  {
    Rows state(account_.database_.prepare("SELECT indexed_to FROM search_state"));
    if (state.next()) filling.after = filling.last = state->integer(0);
  }
  auto visit = [&](const MessageRow& row) {
    trigrams.clear();
    read(row, trigrams);
    std::string names;
    trigrams.append_names(names);
    octets += names.size();
    filling.last = row.message;
    filling.names.emplace_back(row.message, std::move(names));
    return filling.names.size() < kMaxFilled && octets < kMaxNames && std::chrono::steady_clock::now() < deadline;
  };
  account_.scan_messages(filling.after, visit);
  return filling;
}

bool SearchIndex::fill(TrigramSet& trigrams, const Reader& read) {
  const Filling filling = read_next(trigrams, read);
  if (filling.names.empty()) return false;
  try {
    write(filling);
  } catch (const SqliteError& error) {
    drop_if_damaged(error);
  }
  return true;
}

void SearchIndex::write(const Filling& filling) {
  Database& db = account_.database_;
  WriterLock lock(account_.file_.lock_file(), account_.database_);
  Transaction transaction(db);
  db.prepare("UPDATE search_state SET indexed_to = ?1, rows = rows + ?2 WHERE indexed_to = ?3")
      .bind(filling.last, filling.names.size(), filling.after)
      .run();
  if (db.changes() == 0) return;  // somebody else took them in, or emptied it
  for (const auto& [message, names] : filling.names) {
    if (!names.empty()) db.prepare("INSERT INTO search(rowid, trigrams) VALUES(?1, ?2)").bind(message, names).run();
  }
  transaction.commit();
}

bool SearchIndex::drop_if_worn() {
  {
    Rows state(account_.database_.prepare("SELECT rows, gone FROM search_state"));
    if (!state.next() || state->integer(1) < kWorn || state->integer(1) * 2 < state->integer(0)) return false;
  }
  return drop();
}

bool SearchIndex::drop() {
  Database& db = account_.database_;
  {
    Rows state(db.prepare("SELECT indexed_to FROM search_state"));
    if (!state.next() || state->integer(0) == 0) return false;
  }
  WriterLock lock(account_.file_.lock_file(), account_.database_);
  Transaction transaction(db);
  db.prepare("INSERT INTO search(search) VALUES('delete-all')").run();
  db.prepare("UPDATE search_state SET indexed_to = 0, rows = 0, gone = 0").run();
  transaction.commit();
  return true;
}

}  // namespace postrider::store
