// Import of a Maildir: Maildir++ folders (".A.B") and Maildirs within each other. Nothing of it is changed.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/base/number.h"
#include "common/mail/imap_string.h"
#include "mailctl/transfer/files.h"
#include "mailctl/transfer/keywords.h"
#include "mailctl/transfer/line_ends.h"
#include "mailctl/transfer/names.h"
#include "mailctl/transfer/transfer.h"

namespace postrider::mailctl {
namespace {

namespace fs = std::filesystem;

struct Folder {
  std::string path, mailbox;
};

bool is_real_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() == fs::file_type::directory;
}

/// The Maildirs at and below a path. above: the mailbox of the path itself, empty for the root.
void find_folders(const std::string& path, const std::string& above, size_t depth, Importer& importer,
                  std::vector<Folder>& found) {
  std::error_code ignored;
  if (fs::is_directory(path + "/cur", ignored)) found.push_back({path, above.empty() ? "INBOX" : above});
  if (found.size() > store::kMaxMailboxes || depth > store::kMaxMailboxDepth)
    return importer.pass_over(path, "there are too many folders, or they nest too deep");
  std::vector<std::string> names;
  const bool listed = list_folder(path, [&](std::string_view name) { names.emplace_back(name); });
  if (!listed) return importer.pass_over(path, why_not(path, "read"));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string inner = path + '/' + name;
    if (name == "cur" || name == "new" || name == "tmp" || !fs::is_directory(inner, ignored)) continue;
    const bool dotted = name.starts_with('.');
    if (dotted && !fs::is_directory(inner + "/cur", ignored)) continue;
    if (!is_real_folder(inner)) {
      importer.pass_over(inner, "it is a symbolic link; name its target");
      continue;
    }
    const auto mailbox = dotted ? maildir_mailbox(name) : level_from_disk(name);
    if (!mailbox) {
      importer.pass_over(inner, "the folder's name cannot be read");
    } else {
      find_folders(inner, above.empty() ? canonical_mailbox(*mailbox) : above + '/' + *mailbox, depth + 1, importer,
                   found);
    }
  }
}

/// Names begin with the time when the message came.
bool came_before(const std::string& a, const std::string& b) {
  const auto time = [](const std::string& file) {
    const size_t slash = file.find('/') + 1;
    const size_t end = std::min(file.find_first_not_of("0123456789", slash), file.size());
    return parse_number<uint64_t>(std::string_view(file).substr(slash, end - slash)).value_or(0);
  };
  const uint64_t one = time(a), other = time(b);
  return one != other ? one < other : std::string_view(a).substr(4) < std::string_view(b).substr(4);
}

/// Files of new and cur, as "cur/name", in the order in which they came.
std::vector<std::string> list_messages(const Folder& folder, Importer& importer) {
  std::vector<std::string> files;
  for (const char* part : {"new", "cur"}) {
    const bool listed = list_folder(folder.path + '/' + part, [&](std::string_view name) {
      if (!name.starts_with('.')) files.push_back(fmt::format("{}/{}", part, name));
    });
    if (!listed && errno != ENOENT) {
      const std::string path = folder.path + '/' + part;
      importer.pass_over(path, why_not(path, "read"));
    }
  }
  std::sort(files.begin(), files.end(), came_before);
  return files;
}

void import_message(const Folder& folder, const std::string& file, const std::string& target,
                    const std::vector<std::string>& keywords, Importer& importer) {
  const std::string path = folder.path + '/' + file;
  File input = open_to_read(path);
  struct stat status {};
  if (!input || ::fstat(input.get(), &status) != 0) {
    return importer.pass_over(path, errno == ENOENT ? "it was renamed or removed meanwhile" : why_not(path, "read"));
  }
  const MaildirName name = parse_maildir_name(std::string_view(file).substr(4));
  TransferKey key;
  key.part("maildir").part(target).part(name.unique).part(std::to_string(status.st_size));
  Incoming message(importer.spool());
  message.key = key.value();
  if (importer.has(message.key)) return;
  ToCrlf to_crlf;
  std::string piece, text;
  for (; input.read(piece, path); piece.clear(), text.clear()) {
    to_crlf.append(piece, text);
    message.text.append(text);
  }
  message.folder = target;
  message.place = path;
  message.flags = name.flags;
  message.date = std::max<UnixTime>(status.st_mtime, 0);
  for (char letter : name.info) {
    if (letter < 'a' || letter > 'z') continue;
    const std::string& keyword = keywords[static_cast<size_t>(letter - 'a')];
    if (keyword.empty()) {
      importer.note(
          fmt::format("{}: dovecot-keywords does not name the keyword {}; it is left out.", folder.path, letter));
    } else {
      message.keywords.push_back(keyword);
    }
  }
  if (name.forwarded) message.keywords.emplace_back("$Forwarded");
  importer.add(std::move(message));
}

}  // namespace

void import_maildir(Context&, const TransferOptions& options, Importer& importer) {
  std::error_code failed;
  if (!fs::is_directory(options.maildir, failed)) {
    errno = failed ? failed.value() : ENOTDIR;
    throw CommandFailed(why_not(options.maildir, "read"));
  }
  std::vector<Folder> folders;
  find_folders(options.maildir, "", 0, importer, folders);
  if (folders.empty()) throw CommandFailed(fmt::format("{} is no Maildir: it has no folder cur.", options.maildir));
  std::string listed = read_small(options.maildir + "/subscriptions");
  if (listed.empty()) listed = read_small(options.maildir + "/courierimapsubscribed");
  const std::vector<std::string> subscribed = parse_subscriptions(listed);
  for (const Folder& folder : folders) {
    const auto target = importer.target(folder.mailbox);
    if (!target) continue;
    const bool wanted =
        listed.empty() || std::find(subscribed.begin(), subscribed.end(), folder.mailbox) != subscribed.end();
    if (!importer.add_folder(*target, wanted)) continue;
    const auto keywords = parse_keywords_file(read_small(folder.path + "/dovecot-keywords"));
    for (const std::string& file : list_messages(folder, importer))
      import_message(folder, file, *target, keywords, importer);
  }
}

}  // namespace postrider::mailctl
