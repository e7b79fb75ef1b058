// Export into a Maildir++. A message's name is always the same: what is there is not written again, only its flags
// follow.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_map>

#include "mailctl/transfer/files.h"
#include "mailctl/transfer/keywords.h"
#include "mailctl/transfer/names.h"
#include "mailctl/transfer/transfer.h"

namespace postrider::mailctl {
namespace {

class MaildirFolder {
 public:
  MaildirFolder(store::Account& account, const store::Mailbox& mailbox, std::string path, std::string address)
      : account_(account), mailbox_(mailbox), path_(std::move(path)), address_(std::move(address)) {}

  void write(Context& context, ExportCounts& counts, Json& notes) {
    for (const char* part : {"/tmp", "/new", "/cur"}) make_folders(path_ + part);
    if (mailbox_.name != "INBOX") open_to_write(path_ + "/maildirfolder", O_CREAT);
    find_written();
    name_keywords(notes);
    each_message(account_, mailbox_.id, 0, [&](const std::vector<Outgoing>& batch) {
      for (const Outgoing& message : batch) {
        take(message, counts);
        context.progress(fmt::format("{}: {} of {}", mailbox_.name, ++seen_, mailbox_.messages));
      }
      publish(counts);
    });
  }

 private:
  struct Written {
    std::string temporary, name;
  };

  /// What an export before this one left.
  void find_written() {
    for (const char* part : {"new/", "cur/"}) {
      list_folder(path_ + '/' + part, [&](std::string_view file) {
        const MaildirName name = parse_maildir_name(file);
        if (auto uid = exported_uid(name.unique, mailbox_.uid_validity)) written_[*uid] = part + std::string(file);
      });
    }
  }

  /// Letters for the keywords that this folder uses, before any message has them.
  void name_keywords(Json& notes) {
    uint64_t used = 0;
    account_.scan(mailbox_.id, {1, UINT32_MAX}, store::kWantEntry, [&](const store::MessageRow& row) {
      used |= row.flags.bits();
      return true;
    });
    const std::string file = path_ + "/dovecot-keywords";
    std::vector<std::string> letters = parse_keywords_file(read_small(file));
    const std::vector<std::string> before = letters;
    const std::vector<std::string> names = account_.keywords();
    for (size_t i = 0; i < names.size(); ++i) {
      const uint64_t bit = uint64_t{1} << (i + store::Flags::kFirstKeywordBit);
      if ((used & bit) == 0) continue;
      auto at = std::find(letters.begin(), letters.end(), names[i]);
      if (at == letters.end()) at = std::find(letters.begin(), letters.end(), "");
      if (at == letters.end()) {
        notes.push_back(fmt::format("{}: a Maildir holds {} keywords; {} is left out.", mailbox_.name,
                                    kMaxMaildirLetters, names[i]));
        continue;
      }
      *at = names[i];
      letters_.emplace_back(bit, static_cast<char>('a' + (at - letters.begin())));
    }
    if (letters != before) replace_file(file, format_keywords_file(letters));
  }

  std::string info(uint64_t flags) const {
    std::string letters;
    for (const auto& [bit, letter] : letters_) {
      if ((flags & bit) != 0) letters += letter;
    }
    return maildir_info(flags, letters);
  }

  void take(const Outgoing& message, ExportCounts& counts) {
    const std::string unique = exported_name(message.date, mailbox_.uid_validity, message.uid, address_);
    const std::string name = "cur/" + unique + info(message.flags);
    if (const auto found = written_.find(message.uid); found != written_.end()) {
      ++counts.present;
      if (found->second == name) return;
      if (::rename((path_ + '/' + found->second).c_str(), (path_ + '/' + name).c_str()) != 0)
        throw CommandFailed(why_not(path_ + '/' + found->second, "renamed"));
      ++counts.changed;
      return;
    }
    const std::string temporary = path_ + "/tmp/" + unique;
    File file = open_to_write(temporary, O_CREAT | O_TRUNC);
    if (!read_message(account_, message, [&](std::string_view piece) { file.write(piece, temporary); })) {
      ::unlink(temporary.c_str());  // expunged and purged meanwhile
      return;
    }
    const timespec date = {message.date, 0};
    const timespec times[] = {date, date};
    if (::futimens(file.get(), times) != 0) throw CommandFailed(why_not(temporary, "dated"));
    pending_.push_back({temporary, path_ + '/' + name});
  }

  /// One flush for what was written; then the names.
  void publish(ExportCounts& counts) {
    if (pending_.empty()) return;
    const File folder(::open((path_ + "/cur").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::syncfs(folder.get()) != 0) throw CommandFailed(why_not(path_, "flushed"));
    for (const Written& one : pending_) {
      if (::rename(one.temporary.c_str(), one.name.c_str()) != 0) throw CommandFailed(why_not(one.name, "made"));
      ++counts.exported;
    }
    pending_.clear();
    if (::fsync(folder.get()) != 0) throw CommandFailed(why_not(path_, "flushed"));
  }

  store::Account& account_;
  const store::Mailbox& mailbox_;
  std::string path_, address_;
  std::unordered_map<store::Uid, std::string> written_;  // "cur/name" by UID
  std::vector<std::pair<uint64_t, char>> letters_;       // keyword's bit and letter
  std::vector<Written> pending_;                         // at most kMaxExportBatch
  uint64_t seen_ = 0;
};

}  // namespace

void export_maildir(Context& context, const TransferOptions& options) {
  const store::AccountInfo info = context.account(options.address);
  auto account = context.accounts().open(info.id);
  ExportCounts counts;
  Json notes = Json::array();
  std::vector<std::string> subscribed;
  each_folder(*account, options, [&](const store::Mailbox& mailbox) {
    const std::string folder = maildir_folder(mailbox.name);
    if (folder.size() > kMaxDiskName) {
      counts.passed_over += mailbox.messages;
      notes.push_back(fmt::format("Passed over: {}: the name is too long for a folder.", mailbox.name));
      return;
    }
    if (mailbox.subscribed) subscribed.push_back(mailbox.name);
    MaildirFolder(*account, mailbox, folder.empty() ? options.maildir : options.maildir + '/' + folder, info.address)
        .write(context, counts, notes);
  });
  make_folders(options.maildir);
  if (options.folder.empty()) replace_file(options.maildir + "/subscriptions", format_subscriptions(subscribed));
  say_exported(context, info.address, options.maildir, counts, notes);
}

}  // namespace postrider::mailctl
