// Import of mbox files: one, or those of a folder, each a mailbox.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/mail/imap_string.h"
#include "mailctl/transfer/files.h"
#include "mailctl/transfer/line_ends.h"
#include "mailctl/transfer/mbox_format.h"
#include "mailctl/transfer/names.h"
#include "mailctl/transfer/transfer.h"

namespace postrider::mailctl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".mbox";

struct Box {
  std::string path, mailbox;
};

std::optional<std::string> level_of_file(std::string_view name) {
  if (name.ends_with(kSuffix) && name.size() > kSuffix.size()) name.remove_suffix(kSuffix.size());
  return level_from_disk(name);
}

void find_boxes(const std::string& path, const std::string& above, size_t depth, Importer& importer,
                std::vector<Box>& found) {
  if (found.size() > store::kMaxMailboxes || depth > store::kMaxMailboxDepth)
    return importer.pass_over(path, "there are too many folders, or they nest too deep");
  std::vector<std::string> names;
  const bool listed = list_folder(path, [&](std::string_view name) {
    if (!name.starts_with('.')) names.emplace_back(name);
  });
  if (!listed) return importer.pass_over(path, why_not(path, "read"));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string inner = path + '/' + name;
    std::error_code ignored;
    const fs::file_type type = fs::symlink_status(inner, ignored).type();
    const bool folder = type == fs::file_type::directory;
    const auto level = folder ? level_from_disk(name) : level_of_file(name);
    if (!folder && type != fs::file_type::regular) {
      importer.pass_over(inner, "it is no ordinary file; name the file itself");
    } else if (!level) {
      importer.pass_over(inner, "its name cannot be read");
    } else {
      const std::string mailbox = canonical_mailbox(above.empty() ? *level : above + '/' + *level);
      if (folder) {
        find_boxes(inner, mailbox, depth + 1, importer, found);
      } else {
        found.push_back({inner, mailbox});
      }
    }
  }
}

/// The messages of one file, as they are read.
class BoxImport : public MboxVisitor {
 public:
  BoxImport(std::string path, std::string target, Importer& importer)
      : path_(std::move(path)), target_(std::move(target)), importer_(importer) {}

  void begin(std::string_view from_line, UnixTime date) override {
    message_.emplace(importer_.spool());
    key_.emplace();
    key_->part("mbox").part(target_).part(from_line);
    to_crlf_ = {};
    message_->date = date;
    message_->folder = target_;
    message_->place = fmt::format("{}: message {}", path_, ++number_);
  }
  void text(std::string_view piece) override {
    converted_.clear();
    to_crlf_.append(piece, converted_);
    key_->add(converted_);
    message_->text.append(converted_);
  }
  void end(const StatusFields& status) override {
    if (status.is_folder_data()) return;
    message_->key = key_->value();
    message_->flags = status.flags();
    message_->keywords = status.keywords();
    importer_.add(std::move(*message_));
  }

 private:
  std::string path_, target_, converted_;
  Importer& importer_;
  std::optional<Incoming> message_;
  std::optional<TransferKey> key_;
  ToCrlf to_crlf_;
  uint64_t number_ = 0;
};

void import_box(const Box& box, Importer& importer) {
  const auto target = importer.target(box.mailbox);
  if (!target) return;
  File file = open_to_read(box.path);
  if (!file) return importer.pass_over(box.path, why_not(box.path, "read"));
  std::string piece;
  bool more = file.read(piece, box.path);
  if (more && !parse_from_line(std::string_view(piece).substr(0, piece.find('\n'))))
    return importer.pass_over(box.path, "it is no mbox file: it does not begin with a line \"From sender date\"");
  if (!importer.add_folder(*target, true)) return;
  BoxImport visitor(box.path, *target, importer);
  MboxReader reader(visitor);
  for (; more; more = file.read(piece, box.path)) {
    reader.feed(piece);
    piece.clear();
  }
  reader.finish();
}

}  // namespace

void import_mbox(Context&, const TransferOptions& options, Importer& importer) {
  std::vector<Box> boxes;
  std::error_code failed;
  if (fs::is_directory(options.mbox, failed)) {
    find_boxes(options.mbox, "", 0, importer, boxes);
  } else {
    const auto level = level_of_file(fs::path(options.mbox).filename().string());
    if (failed || !level) {
      errno = failed ? failed.value() : EINVAL;
      throw CommandFailed(why_not(options.mbox, "read"));
    }
    // One file goes to the very folder that is named, not below it.
    const std::string& named = options.folder.empty() ? *level : options.folder;
    const bool to_the_top = !options.into.empty() && options.folder.empty();
    boxes.push_back({options.mbox, to_the_top ? "INBOX" : canonical_mailbox(named)});
  }
  for (const Box& box : boxes) import_box(box, importer);
}

}  // namespace postrider::mailctl
