// SEARCH, SORT and THREAD (RFC 9051 6.4.4; RFC 5256, 5267, 9585).
#include "common/base/ascii.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "imapd/fetch.h"
#include "imapd/saved_search.h"
#include "imapd/search.h"
#include "imapd/search_result.h"
#include "imapd/session.h"
#include "imapd/sort.h"
#include "imapd/thread.h"

namespace postrider::imap {
namespace {

constexpr uint32_t kMinUidBatch = 500;  // messages; a server must take that many, and may refuse fewer

ThreadMessage thread_message(const store::MessageRow& row, uint32_t number) {
  ThreadMessage message;
  message.number = number;
  std::string references, in_reply_to;
  HeaderReader reader(row.head);
  while (auto field = reader.next()) {
    if (iequals(field->name, "Message-ID") && message.id.empty()) {
      message.id = first_message_id(field->unfolded());
    } else if (iequals(field->name, "References") && references.empty()) {
      references = field->unfolded();
    } else if (iequals(field->name, "In-Reply-To") && in_reply_to.empty()) {
      in_reply_to = field->unfolded();
    }
  }
  message.references = parse_references(references, in_reply_to);
  EnvelopeFields fields = parse_envelope(row.envelope);
  message.sent = sent_date(fields.date, row.internal_date);
  message.subject = base_subject(fields.subject);
  message.subject.text = fold_for_search(message.subject.text);
  return message;
}

}  // namespace

/// Saved searches are put in place, and strings become UTF-8; what is wrong with the command otherwise.
asio::awaitable<std::optional<Reply>> Session::prepare_search(SearchCommand& command) {
  if (auto wrong = check_charset(command)) co_return wrong;
  if (command.filters) {
    std::optional<Reply> wrong;
    auto job = [&](store::Account& account) { wrong = insert_filters(account, command); };
    co_await on_account(job);
    if (wrong) co_return wrong;
  }
  if (uid_only_ && command.numbers) co_return uid_required();
  co_return std::nullopt;
}

std::optional<Reply> Session::insert_filters(store::Account& account, SearchCommand& command) const {
  std::vector<store::Annotation> all = server_annotations(account);
  auto find = [&](const std::string& name) -> std::optional<std::string> {
    for (std::string_view whose : {"/private", "/shared"}) {  // one's own first (RFC 5466 3.1)
      for (const store::Annotation& annotation : all) {
        if (annotation.name == fmt::format("{}{}{}", whose, kFilterValues, name)) return annotation.value;
      }
    }
    return std::nullopt;
  };
  return imap::insert_filters(command, find);
}

/// Threads become the messages that they have now.
SearchKey Session::resolved(store::Account& account, SearchKey key, store::AccountId owner) {
  for (SearchKey& child : key.children) child = resolved(account, std::move(child), owner);
  if (key.kind != SearchKey::Kind::thread_id) return key;
  auto thread = parse_thread_id(key.value, owner);
  key.kind = thread ? SearchKey::Kind::any_of : SearchKey::Kind::none;
  if (!thread) return key;
  for (store::MessageId message : account.thread(*thread)) {
    SearchKey& one = key.children.emplace_back();
    one.kind = SearchKey::Kind::email_id;
    one.value = email_id(message, owner);
  }
  return key;
}

/// Batches of so many messages, from the newest on; together they hold every UID from 1 on.
asio::awaitable<Reply> Session::uid_batches(Cursor& arguments) {
  UidBatchesCommand command;
  if (!parse_uid_batches(arguments, command)) co_return Reply::refused(arguments);
  if (command.size < kMinUidBatch) {
    Reply reply = Reply::no(fmt::format("A batch has {} messages at least.", kMinUidBatch));
    co_return reply.code("TOOFEW");
  }
  NumberRange wanted = command.batches.value_or(NumberRange{1, UINT32_MAX});
  if (wanted.first > wanted.last) {
    Reply reply = Reply::bad("The first batch comes before the last.");
    co_return reply.code("CLIENTBUG");
  }
  out_ += "* UIDBATCHES (TAG ";
  append_string(out_, tag_);
  out_ += ')';
  char before = ' ';
  uint64_t left = view_->count();  // messages
  left -= std::min<uint64_t>(left, uint64_t{wanted.first - 1} * command.size);
  for (uint64_t batch = wanted.first; left > 0 && batch <= wanted.last; ++batch) {
    uint64_t size = std::min<uint64_t>(left, command.size);
    store::Uid high = left == view_->count() ? view_->last_uid() : view_->uid_of(static_cast<uint32_t>(left) + 1) - 1;
    store::Uid low = size == left ? 1 : view_->uid_of(static_cast<uint32_t>(left - size) + 1);
    append_format(out_, "{}{}:{}", std::exchange(before, ','), high, low);
    left -= size;
  }
  out_ += "\r\n";
  auto job = [this](store::Account& account) { report_changes(account); };
  co_await on_selected(job);
  co_return Reply::ok("That is all.");
}

SearchAnswer Session::search_answer(const SearchCommand& command) const {
  SearchAnswer answer;
  answer.tag = tag_;
  answer.uids = has_flag(kUids);
  answer.modseq = command.modseq;
  answer.extended = command.options.given;
  return answer;
}

/// A slice at a time, so that a long search stands in nobody's way; says now and then how far it has come (RFC 9585).
template <class Step>
asio::awaitable<void> Session::in_slices(Step step, const std::optional<SearchRun>& run) {
  auto next_word = std::chrono::steady_clock::now() + services_.progress_every;
  bool more = true;
  auto job = [&](store::Account& account) { more = step(account); };
  while (more) {
    co_await on_selected(job);
    if (!more || std::chrono::steady_clock::now() < next_word) continue;
    next_word = std::chrono::steady_clock::now() + services_.progress_every;
    std::string tag;
    append_string(tag, tag_);
    NumberRanges done = view_->known({{1, run->progress()}});
    untagged(fmt::format("OK [INPROGRESS ({} {} {})] Still at it.", tag, done.empty() ? 0 : done.back().last,
                         view_->count()));
    co_await send();
  }
}

asio::awaitable<Reply> Session::search(Cursor& arguments) {
  SearchCommand command;
  if (!parse_search(arguments, command)) co_return Reply::refused(arguments);
  if (utf8_ && !rev2_ && !command.charset.empty())
    co_return Reply::bad("After ENABLE UTF8=ACCEPT every search is in UTF-8, and CHARSET is not said (RFC 9755 3).");
  if (auto wrong = co_await prepare_search(command)) {
    if (command.options.save) view_->save({});  // RFC 5182 2.1
    co_return *wrong;
  }
  if (command.modseq) enable_condstore();
  MessageLimit limit = message_limit();
  NumberRanges numbers = searched(command.key, *view_);
  limit.cut(numbers, *view_);
  if (limit.was_cut()) search_from(command.key, limit.lowest());
  SearchAnswer answer = search_answer(command);
  answer.extended |= rev2_;
  std::optional<SearchRun> run;
  auto step = [&](store::Account& account) {
    if (!run)
      run.emplace(resolved(account, command.key, view_->owner()), *view_, account.keywords(),
                  services_.clock.unix_time(), command.options.relevancy);
    if (run->step(account)) return true;
    append_search_result(out_, answer, command.options, run->found(), *view_);
    if (command.options.save) view_->save(uids_to_save(command.options, run->found()));
    if (command.options.update) keep_context(command, std::move(command.key), run->found());
    report_changes(account);
    return false;
  };
  co_await in_slices(step, run);
  co_return limit.tell(Reply::ok("That is all."), out_);
}

asio::awaitable<Reply> Session::sort(Cursor& arguments) {
  SortCommand command;
  if (!parse_sort(arguments, command)) co_return Reply::refused(arguments);
  if (auto wrong = co_await prepare_search(command.search)) co_return *wrong;
  if (message_limit().exceeded_by(searched(command.search.key, *view_))) co_return message_limit().refusal();
  if (command.search.modseq) enable_condstore();
  SearchAnswer answer = search_answer(command.search);
  answer.word = "SORT";
  const bool ranked = command.by_relevancy || command.search.options.relevancy;
  std::optional<SearchRun> run;
  std::optional<SortRun> sorting;
  auto step = [&](store::Account& account) {
    if (!run)
      run.emplace(resolved(account, command.search.key, view_->owner()), *view_, account.keywords(),
                  services_.clock.unix_time(), ranked);
    if (!sorting && run->step(account)) return true;
    if (!sorting) sorting.emplace(std::move(command.keys), view_->mailbox(), run->found());
    if (sorting->step(account)) return true;
    append_search_result(out_, answer, command.search.options, sorting->sorted(), *view_);
    if (command.search.options.save) view_->save(uids_to_save(command.search.options, sorting->sorted()));
    if (command.search.options.update)
      keep_context(command.search, std::move(command.search.key), run->found(), std::move(sorting));
    report_changes(account);
    return false;
  };
  co_await in_slices(step, run);
  co_return Reply::ok("That is all.");
}

asio::awaitable<Reply> Session::thread(Cursor& arguments) {
  ThreadCommand command;
  if (!parse_thread(arguments, command)) co_return Reply::refused(arguments);
  if (auto wrong = co_await prepare_search(command.search)) co_return *wrong;
  if (message_limit().exceeded_by(searched(command.search.key, *view_))) co_return message_limit().refusal();
  bool uids = has_flag(kUids);
  std::optional<SearchRun> run;
  std::optional<FoundScan> scan;
  std::vector<ThreadMessage> messages;
  auto visit = [&](const store::MessageRow& row) {
    messages.push_back(thread_message(row, uids ? row.uid : view_->number_of(row.uid)));
  };
  auto step = [&](store::Account& account) {
    if (!run)
      run.emplace(resolved(account, std::move(command.search.key), view_->owner()), *view_, account.keywords(),
                  services_.clock.unix_time());
    if (!scan && run->step(account)) return true;
    constexpr unsigned kWants = store::kWantDate | store::kWantEnvelope | store::kWantHead;
    if (!scan) scan.emplace(view_->mailbox(), run->found(), kWants);
    if (scan->step(account, visit)) return true;
    bool references = command.algorithm == ThreadCommand::Algorithm::references;
    std::string threads = references ? thread_by_references(messages) : thread_by_subject(std::move(messages));
    untagged(threads.empty() ? "THREAD" : "THREAD " + threads);
    report_changes(account);
    return false;
  };
  co_await in_slices(step, run);
  co_return Reply::ok("That is all.");
}

}  // namespace postrider::imap
