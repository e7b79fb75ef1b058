// Searches that are kept up to date: RETURN (UPDATE) and CANCELUPDATE (RFC 5267 4).
#include <algorithm>

#include "imapd/session.h"

namespace postrider::imap {
namespace {

store::UidRanges intersect(const store::UidRanges& a, const store::UidRanges& b) {
  return store::subtract(a, store::subtract(a, b));
}

store::UidRanges join(store::UidRanges a, const store::UidRanges& b) {
  a.insert(a.end(), b.begin(), b.end());
  return store::normalize(std::move(a));
}

}  // namespace

/// Keeps the search of this command. What cannot be kept is said at once (RFC 5267 4.3.1).
void Session::keep_context(const SearchCommand& command, SearchKey key, const std::vector<SearchRun::Found>& found,
                           std::optional<SortRun> sorting) {
  const bool ranked = !found.empty() && found.front().relevancy != 0;
  if (command.numbers || ranked || contexts_.size() >= kMaxContexts || (sorting && found.size() > kMaxSortContext)) {
    std::string tag;
    append_string(tag, tag_);
    untagged(fmt::format("NO [NOUPDATE {}] This result is not kept up to date.", tag));
    return;
  }
  SearchContext context{tag_, has_flag(kUids), std::move(key), {}, std::move(sorting)};
  for (const auto& one : found) store::append_uid(context.matching, one.uid);
  contexts_.push_back(std::move(context));
}

asio::awaitable<Reply> Session::cancel_update(Cursor& arguments) {
  std::vector<std::string> tags;
  if (!parse_cancel_update(arguments, tags)) co_return Reply::refused(arguments);
  for (const std::string& tag : tags) {
    if (std::erase_if(contexts_, [&](const SearchContext& context) { return context.tag == tag; }) == 0)
      co_return Reply::bad("No search of this tag is kept up to date.");
  }
  co_return Reply::ok("No longer kept up to date.");
}

void Session::tell_context(const SearchContext& context, std::string_view word, size_t position,
                           const store::UidRanges& uids) {
  if (uids.empty()) return;
  out_ += "* ESEARCH (TAG ";
  append_string(out_, context.tag);
  std::string set = context.uids ? store::format_ranges(uids) : format_set(view_->known(uids));
  append_format(out_, "){} {} ({} {})\r\n", context.uids ? " UID" : "", word, position, set);
}

/// Where nothing is sorted the place is 0; in a SORT each message has its own (RFC 5267 4.3.4).
void Session::tell_left(SearchContext& context, const store::UidRanges& uids) {
  context.matching = store::subtract(context.matching, uids);
  if (!context.sorting) return tell_context(context, "REMOVEFROM", 0, uids);
  for (const store::UidRange& range : uids) {
    for (store::Uid uid = range.first; uid <= range.last; ++uid) {
      if (auto place = context.sorting->remove(uid)) tell_context(context, "REMOVEFROM", *place + 1, {{uid, uid}});
    }
  }
}

void Session::tell_come(store::Account& account, SearchContext& context, const store::UidRanges& uids) {
  context.matching = join(std::move(context.matching), uids);
  if (!context.sorting) return tell_context(context, "ADDTO", 0, uids);
  for (const store::UidRange& range : uids) {
    for (store::Uid uid = range.first; uid <= range.last; ++uid) {
      if (auto place = context.sorting->insert(account, uid)) tell_context(context, "ADDTO", *place + 1, {{uid, uid}});
    }
  }
}

/// Before the EXPUNGEs are told.
void Session::leave_contexts(const store::UidRanges& expunged) {
  for (SearchContext& context : contexts_) tell_left(context, intersect(context.matching, expunged));
}

/// Looks again at messages that came in or have other flags now.
void Session::update_contexts(store::Account& account, const store::UidRanges& changed) {
  store::UidRanges known = view_->known_uids(changed);
  if (known.empty()) return;
  for (SearchContext& context : contexts_) {
    SearchKey key;
    key.kind = SearchKey::Kind::all_of;
    key.children.resize(1);
    key.children[0].kind = SearchKey::Kind::uid;
    for (const store::UidRange& range : known) key.children[0].set.ranges.push_back({range.first, range.last});
    key.children.push_back(resolved(account, context.key, view_->owner()));
    SearchRun run(std::move(key), *view_, account.keywords(), services_.clock.unix_time());
    while (run.step(account)) {
    }
    store::UidRanges now;
    for (const auto& one : run.found()) store::append_uid(now, one.uid);
    tell_left(context, store::subtract(intersect(context.matching, known), now));
    tell_come(account, context, store::subtract(now, context.matching));
  }
}

}  // namespace postrider::imap
