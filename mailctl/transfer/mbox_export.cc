// Export into mbox files, one a mailbox. Beside each is a small file that says how far it is flushed: what comes after
// that is what an export that was interrupted left, and is cut off.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/base/number.h"
#include "common/mail/header.h"
#include "mailctl/transfer/files.h"
#include "mailctl/transfer/mbox_format.h"
#include "mailctl/transfer/names.h"
#include "mailctl/transfer/transfer.h"
#include "store/small_file.h"

namespace postrider::mailctl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStateTitle = "postrider-mbox-export 1";
constexpr uint64_t kSenderRead = 4 << 10;  // octets of a message in which its Return-Path is looked for

/// Up to length the file holds the messages up to uid. complete: nothing was to follow.
struct State {
  uint64_t uid_validity = 0, uid = 0, length = 0, complete = 0;
};

std::string format_state(const State& state) {
  return fmt::format("{} {} {} {} {}\n", kStateTitle, state.uid_validity, state.uid, state.length, state.complete);
}

std::optional<State> parse_state(std::string_view text) {
  State state;
  if (!text.starts_with(kStateTitle) || !text.ends_with('\n')) return std::nullopt;
  text.remove_prefix(kStateTitle.size());
  text.remove_suffix(1);
  for (uint64_t* value : {&state.uid_validity, &state.uid, &state.length, &state.complete}) {
    if (!text.starts_with(' ')) return std::nullopt;
    text.remove_prefix(1);
    const auto number = parse_number(text.substr(0, text.find(' ')));
    if (!number) return std::nullopt;
    *value = *number;
    text.remove_prefix(std::min(text.find(' '), text.size()));
  }
  return state;
}

class MboxFile {
 public:
  MboxFile(store::Account& account, const store::Mailbox& mailbox, std::string path)
      : account_(account), mailbox_(mailbox), path_(std::move(path)), names_(account.keywords()) {
    const fs::path file(path_);
    make_folders(file.parent_path());
    state_path_ = file.parent_path() / fmt::format(".{}.state", file.filename().string());
  }

  void write(Context& context, ExportCounts& counts) {
    go_on();
    uint64_t seen = mailbox_.messages - std::min(mailbox_.messages, account_.count_from(mailbox_.id, after()));
    counts.present += seen;
    each_message(account_, mailbox_.id, static_cast<store::Uid>(state_.uid), [&](const std::vector<Outgoing>& batch) {
      if (state_.complete != 0) keep_state(false);
      for (const Outgoing& message : batch) {
        if (write_message(message)) ++counts.exported;
        context.progress(fmt::format("{}: {} of {}", mailbox_.name, ++seen, mailbox_.messages));
      }
      if (::fsync(file_.get()) != 0) throw CommandFailed(why_not(path_, "flushed"));
      state_.uid = batch.back().uid;
      state_.length = length_;
      keep_state(false);
    });
    if (state_.complete == 0) keep_state(true);
  }

 private:
  store::Uid after() const { return static_cast<store::Uid>(state_.uid) + 1; }

  void keep_state(bool complete) {
    state_.complete = complete ? 1 : 0;
    replace_file(state_path_, format_state(state_));
  }

  /// Where the export before this one ended, or at the beginning.
  void go_on() {
    struct stat status {};
    const bool there = ::stat(path_.c_str(), &status) == 0;
    const uint64_t size = there ? static_cast<uint64_t>(status.st_size) : 0;
    const auto state = parse_state(read_small(state_path_));
    if (!state && size > 0)
      throw CommandFailed(fmt::format("{} is no export that could go on. Name another folder.", path_));
    if (state) state_ = *state;
    if (state && state_.uid_validity != mailbox_.uid_validity) {
      throw CommandFailed(fmt::format("{} is the export of another folder of that name. Name another folder.", path_));
    }
    if (size < state_.length || (state_.complete != 0 && size != state_.length)) {
      throw CommandFailed(fmt::format("{} was changed since it was exported. Name another folder.", path_));
    }
    if (!state) {
      state_.uid_validity = mailbox_.uid_validity;
      keep_state(false);
    }
    file_ = open_to_write(path_, O_CREAT);
    store::flush_folder(fs::path(path_).parent_path());
    length_ = state_.length;
    cut();
  }

  /// To the end of the last whole message.
  void cut() {
    const auto end = static_cast<off_t>(length_);
    if (::ftruncate(file_.get(), end) != 0 || ::lseek(file_.get(), end, SEEK_SET) != end)
      throw CommandFailed(why_not(path_, "written"));
  }

  std::string sender(const Outgoing& message) {
    std::string head;
    account_.read(message.message, 0, kSenderRead, head);
    std::string path = find_header(head, "Return-Path").value_or("");
    if (path.starts_with('<') && path.ends_with('>')) path = path.substr(1, path.size() - 2);
    return path;
  }

  /// False: it was expunged and purged meanwhile.
  bool write_message(const Outgoing& message) {
    std::vector<std::string> keywords;
    for (size_t i = 0; i < names_.size(); ++i) {
      if ((message.flags >> (i + store::Flags::kFirstKeywordBit) & 1) != 0) keywords.push_back(names_[i]);
    }
    MboxWriter writer;
    std::string out;
    uint64_t end = length_;
    const auto put = [&] {
      file_.write(out, path_);
      end += out.size();
      out.clear();
    };
    writer.begin(sender(message), message.date, message.flags, keywords, out);
    const bool whole = read_message(account_, message, [&](std::string_view piece) {
      writer.text(piece, out);
      put();
    });
    if (!whole) {
      cut();
      return false;
    }
    writer.end(out);
    put();
    length_ = end;
    return true;
  }

  store::Account& account_;
  const store::Mailbox& mailbox_;
  std::string path_, state_path_;
  std::vector<std::string> names_;  // of keywords, by bit
  State state_;
  File file_;
  uint64_t length_ = 0;
};

bool fits_on_disk(const fs::path& path) {
  return std::all_of(path.begin(), path.end(),
                     [](const fs::path& part) { return part.string().size() <= kMaxDiskName; });
}

}  // namespace

void export_mbox(Context& context, const TransferOptions& options) {
  const store::AccountInfo info = context.account(options.address);
  auto account = context.accounts().open(info.id);
  ExportCounts counts;
  Json notes = Json::array();
  each_folder(*account, options, [&](const store::Mailbox& mailbox) {
    const std::string path = mailbox_path(mailbox.name) + ".mbox";
    // Room for the names of the state and of its next version.
    if (!fits_on_disk(path + "....state.new")) {
      counts.passed_over += mailbox.messages;
      notes.push_back(fmt::format("Passed over: {}: the name is too long for a file.", mailbox.name));
      return;
    }
    MboxFile(*account, mailbox, options.mbox + '/' + path).write(context, counts);
  });
  say_exported(context, info.address, options.mbox, counts, notes);
}

}  // namespace postrider::mailctl
