#include "mailctl/transfer/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/imap_string.h"
#include "imapd/proto/mailbox_name.h"
#include "store/types.h"

namespace postrider::mailctl {
namespace {

using store::Flags;

constexpr std::string_view kDot = "&AC4-";

struct Letter {
  char letter;
  uint64_t flag;
};
constexpr Letter kLetters[] = {
    {'D', Flags::kDraft}, {'F', Flags::kFlagged}, {'R', Flags::kAnswered}, {'S', Flags::kSeen}, {'T', Flags::kDeleted}};

/// Calls take with the text before each divider, and after the last.
template <class Take>
bool split(std::string_view text, std::string_view divider, Take&& take) {
  while (true) {
    const size_t end = text.find(divider);
    if (!take(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + divider.size());
  }
}

std::string join_levels(std::string_view mailbox, char divider, bool leading) {
  std::string out;
  split(mailbox, "/", [&](std::string_view level) {
    if (leading || !out.empty()) out += divider;
    out += level_to_disk(level);
    return true;
  });
  return out;
}

}  // namespace

std::string level_to_disk(std::string_view level) {
  std::string out;
  for (char c : imap::encode_utf7(level)) {
    if (c == '.') {
      out += kDot;
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> level_from_disk(std::string_view text) {
  std::string out;
  const bool decoded = split(text, kDot, [&, first = true](std::string_view piece) mutable {
    if (!first) out += '.';
    first = false;
    auto part = imap::decode_utf7(piece);
    if (part) out += *part;
    return part.has_value();
  });
  if (!decoded) out = text;
  if (out.empty() || out.find('/') != std::string::npos || !imap::is_utf8_name(out)) return std::nullopt;
  return out;
}

std::string maildir_folder(std::string_view mailbox) {
  return mailbox == "INBOX" ? std::string() : join_levels(mailbox, '.', true);
}

std::optional<std::string> maildir_mailbox(std::string_view folder) {
  if (!folder.starts_with('.')) return std::nullopt;
  std::string out;
  const bool read = split(folder.substr(1), ".", [&](std::string_view text) {
    auto level = level_from_disk(text);
    if (!level) return false;
    if (!out.empty()) out += '/';
    out += *level;
    return true;
  });
  if (!read) return std::nullopt;
  return canonical_mailbox(std::move(out));
}

std::string mailbox_path(std::string_view mailbox) {
  return join_levels(mailbox, '/', false);
}

MaildirName parse_maildir_name(std::string_view file) {
  MaildirName name;
  const size_t end = file.find(":2,");
  name.unique = file.substr(0, std::min(end, file.find(':')));
  if (end == std::string_view::npos) return name;
  name.info = file.substr(end + 3);
  name.info = name.info.substr(0, name.info.find(','));
  for (const Letter& one : kLetters) {
    if (name.info.find(one.letter) != std::string_view::npos) name.flags |= one.flag;
  }
  name.forwarded = name.info.find('P') != std::string_view::npos;
  return name;
}

std::string maildir_info(uint64_t flags, std::string keyword_letters) {
  std::string out = ":2,";
  for (const Letter& one : kLetters) {
    if ((flags & one.flag) != 0) out += one.letter;
  }
  std::sort(keyword_letters.begin(), keyword_letters.end());
  return out + keyword_letters;
}

std::string exported_name(UnixTime date, uint32_t uid_validity, uint32_t uid, std::string_view address) {
  std::string name = fmt::format("{}.V{}U{}.", std::max<UnixTime>(date, 0), uid_validity, uid);
  for (char c : address.substr(0, kMaxDiskName / 2)) {
    name += is_alnum(c) || c == '@' || c == '.' || c == '-' || c == '_' ? c : '_';
  }
  return name;
}

std::optional<uint32_t> exported_uid(std::string_view unique, uint32_t uid_validity) {
  const std::string mark = fmt::format(".V{}U", uid_validity);
  unique.remove_prefix(std::min(unique.find('.'), unique.size()));  // an address may hold such a mark, too
  if (!unique.starts_with(mark)) return std::nullopt;
  unique.remove_prefix(mark.size());
  return parse_number<uint32_t>(unique.substr(0, unique.find('.')));
}

}  // namespace postrider::mailctl
