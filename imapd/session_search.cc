// SEARCH and UID SEARCH (RFC 3501 6.4.4).
#include "common/mail/charset.h"
#include "imapd/search.h"
#include "imapd/session.h"

namespace postrider::imap {
namespace {

void convert_to_utf8(SearchKey& key, std::string_view charset) {
  key.value = to_utf8(key.value, charset);
  for (SearchKey& child : key.children) convert_to_utf8(child, charset);
}

}  // namespace

asio::awaitable<Reply> Session::search(Cursor& arguments) {
  SearchCommand command;
  if (!parse_search(arguments, command)) co_return Reply::refused(arguments);
  bool unicode = command.charset.empty() || command.charset == "UTF-8" || command.charset == "US-ASCII";
  if (!unicode) {
    if (!is_known_charset(command.charset)) {
      Reply reply = Reply::no("There is no such charset.");
      co_return reply.code("BADCHARSET (US-ASCII UTF-8)");
    }
    convert_to_utf8(command.key, command.charset);
  }
  if (command.modseq) enable_condstore();
  std::optional<SearchRun> run;
  bool more = true;
  auto job = [&](store::Account& account) {
    if (!run)
      run.emplace(std::move(command.key), *view_, account.keywords(), services_.clock.unix_time(), has_flag(kUids));
    more = run->step(account);
    if (more) return;
    out_ += "* SEARCH";
    for (uint32_t number : run->found()) append_format(out_, " {}", number);
    if (command.modseq && !run->found().empty()) append_format(out_, " (MODSEQ {})", run->modseq());
    out_ += "\r\n";
    report_changes(account);
  };
  // A slice at a time, so that a long search stands in nobody's way.
  while (more) co_await on_account(job);
  co_return Reply::ok("That is all.");
}

}  // namespace postrider::imap
