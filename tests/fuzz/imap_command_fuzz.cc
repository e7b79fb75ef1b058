// IMAP commands: framed the same however they are cut; every parser takes every command.
#include <cstdlib>
#include <string>

#include "common/mail/imap_url.h"
#include "imapd/proto/append_reader.h"
#include "imapd/proto/framer.h"
#include "imapd/proto/parser.h"

using namespace postrider::imap;

namespace {

constexpr size_t kMaxEvents = 200;

void parse(std::string_view text) {
  std::string tag, verb;
  {
    Cursor cursor(text);
    if (!parse_verb(cursor, tag, verb)) return;
  }
  const auto arguments = [&] {
    Cursor cursor(text);
    parse_verb(cursor, tag, verb);
    return cursor;
  };
  const auto with = [&](auto parser, auto command) {
    Cursor cursor = arguments();
    parser(cursor, command);
  };
  with(parse_login, LoginCommand{});
  with(parse_authenticate, AuthenticateCommand{});
  with(parse_enable, EnableCommand{});
  with(parse_id, IdCommand{});
  with(parse_select, SelectCommand{});
  with(parse_mailbox, std::string());
  with(parse_create, CreateCommand{});
  with(parse_rename, RenameCommand{});
  with(parse_list, ListCommand{});
  with(parse_lsub, ListCommand{});
  with(parse_status, StatusCommand{});
  with(parse_get_quota, std::string());
  with(parse_set_quota, std::string());
  with(parse_get_metadata, GetMetadataCommand{});
  with(parse_set_metadata, SetMetadataCommand{});
  with(parse_set_acl, AclCommand{});
  with(parse_acl, AclCommand{});
  with(parse_uid_batches, UidBatchesCommand{});
  with(parse_append, AppendCommand{});
  with(parse_replace, ReplaceCommand{});
  {
    Cursor cursor = arguments();
    AppendReader reader;
    std::vector<AppendStep> steps;
    if (reader.read(cursor, true, steps)) reader.read(cursor, false, steps);
    for (const AppendStep& step : steps) postrider::parse_imap_url(step.url);
  }
  with(parse_uid_expunge, SequenceSet{});
  with(parse_search, SearchCommand{});
  with(parse_fetch, FetchCommand{});
  with(parse_store, StoreCommand{});
  with(parse_copy, CopyCommand{});
  with(parse_compress, std::string());
  with(parse_language, std::vector<std::string>());
  with(parse_cancel_update, std::vector<std::string>());
  with(parse_notify, NotifyCommand{});
  with(parse_gen_urlauth, std::vector<UrlRequest>());
  with(parse_url_fetch, std::vector<std::string>());
  with(parse_reset_key, ResetKeyCommand{});
  with(parse_esearch, MultiSearchCommand{});
  with(parse_sort, SortCommand{});
  with(parse_thread, ThreadCommand{});
}

/// What the framer makes of the input when it is handed over in pieces, as text.
std::string events(std::string_view input, size_t piece, bool parsed) {
  std::string out;
  Framer framer(kLimitsAfterLogin);
  size_t at = 0, end = 0, count = 0;
  while (count < kMaxEvents) {
    if (end == at) {
      if (end == input.size()) break;
      end = std::min(input.size(), end + piece);
    }
    const Framer::Step step = framer.next(input.substr(at, end - at));
    if (step.consumed > end - at) std::abort();
    at += step.consumed;
    if (step.event == Framer::Event::need_more) continue;
    ++count;
    out += std::to_string(static_cast<int>(step.event));
    if (step.event == Framer::Event::command) {
      out += framer.text();
      if (parsed) parse(framer.text());
    } else if (step.event == Framer::Event::message) {
      out += framer.text();
      if (parsed) parse(framer.text());
      // The literal's octets are the session's to take.
      const size_t left = input.size() - at;
      if (framer.message().size > left) break;
      at += static_cast<size_t>(framer.message().size);
      end = std::max(at, end);
      framer.message_taken();
    } else if (step.event == Framer::Event::bad || step.event == Framer::Event::fatal) {
      out += framer.tag();
      out += framer.problem();
      if (step.event == Framer::Event::fatal) break;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (events(input, input.size() + 1, true) != events(input, 1 + data[0] % 8, false)) std::abort();
  return 0;
}
