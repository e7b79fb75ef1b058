// What a server answers whose mail is taken over, and the names that folders and messages have on a disk.
#include <string>

#include "common/mail/imap_string.h"
#include "imapd/proto/mailbox_name.h"
#include "mailctl/transfer/imap_answer.h"
#include "mailctl/transfer/names.h"
#include "store/types.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using namespace postrider::mailctl;
using fuzz::must;

namespace {

constexpr uint64_t kMaildirFlags = store::Flags::kDraft | store::Flags::kFlagged | store::Flags::kAnswered |
                                   store::Flags::kSeen | store::Flags::kDeleted;

void check_mailbox(const std::string& name) {
  must(imap::is_utf8_name(name), "a name is text");
  must(!name.starts_with('/') && !name.ends_with('/') && name.find("//") == std::string::npos, "no level is empty");
  const std::string folder = maildir_folder(name);
  must(folder.find('/') == std::string::npos && folder != "." && folder != "..", "a folder stays in its place");
  if (!folder.empty()) must(maildir_mailbox(folder) == name, "a folder's name both ways");
  const std::string path = '/' + mailbox_path(name) + '/';
  must(path.find("/./") == std::string::npos && path.find("/../") == std::string::npos, "a path leads down");
}

void check_answer(std::string_view answer, std::string_view prefix) {
  if (const auto mailbox = parse_list(answer)) {
    if (const auto name = local_name(*mailbox, prefix)) check_mailbox(*name);
  }
  if (const auto message = parse_fetched(answer)) {
    must((message->flags & ~kMaildirFlags) == 0, "flags are those that there are");
  }
  parse_namespaces(answer);
  parse_count(answer, "EXISTS");
  parse_code(answer, "UIDVALIDITY");
  parse_capabilities(answer);
  literal_size(answer);
}

void check_file(std::string_view file) {
  const MaildirName name = parse_maildir_name(file);
  must(file.starts_with(name.unique), "a message keeps its name");
  const std::string written = "1.unique" + maildir_info(name.flags, "zab");
  const MaildirName again = parse_maildir_name(written);
  must(again.flags == name.flags && again.unique == "1.unique", "flags both ways");
  const std::string exported = exported_name(static_cast<UnixTime>(file.size()), 17, 42, file);
  must(exported.size() <= kMaxDiskName && exported.find('/') == std::string::npos, "an exported name is a file's");
  must(exported_uid(exported, 17) == 42U && !exported_uid(exported, 18), "it is known again");
  exported_uid(name.unique, 17);
  if (const auto level = level_from_disk(file)) {
    must(level_from_disk(level_to_disk(*level)) == *level, "a level both ways");
    check_mailbox(canonical_mailbox(*level));
  }
  if (const auto mailbox = maildir_mailbox(file)) check_mailbox(*mailbox);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const std::string_view prefix = input.line();
  while (!input.at_end()) {
    const std::string_view line = input.line();
    check_answer(line, prefix);
    check_file(line);
  }
  check_answer(std::string_view(reinterpret_cast<const char*>(data), size), "");  // literals have line ends within
  return 0;
}
