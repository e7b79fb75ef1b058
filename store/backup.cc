#include "store/backup.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "store/account_recover.h"
#include "store/small_file.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;

constexpr time_t kTooFresh = 2;  // seconds: as long as a file system's time may stand still, and more
constexpr std::string_view kUnfinished = ".unfinished", kRemoved = ".removed";

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

/// One call of this copies some hundred KiB: no file is in memory.
constexpr size_t kPiece = 256 << 10;

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0) : file_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
    if (file_ < 0) fail(path);
  }
  ~File() { ::close(file_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return file_; }

 private:
  int file_;
};

/// Whether a file of the state folder is not worth to be kept: made anew, or of the running processes alone.
bool is_passing(const std::string& name) {
  constexpr std::array<std::string_view, 8> kEnds = {"-wal", "-shm", "-journal", ".lock",
                                                     ".pid", ".new", ".tmp",     ".sock"};
  return std::any_of(kEnds.begin(), kEnds.end(), [&](std::string_view end) { return name.ends_with(end); }) ||
         name.find(".before-v") != std::string::npos || name.find('\n') != std::string::npos;
}

void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) fail(path);
}

}  // namespace

std::string mark_of(const std::string& path) {
  std::string mark;
  const time_t now = std::time(nullptr);
  for (const char* part : {"", "-wal"}) {
    struct stat facts {};
    if (::stat((path + part).c_str(), &facts) != 0 || (*part != '\0' && facts.st_size == 0)) continue;
    if (facts.st_mtim.tv_sec + kTooFresh >= now) return {};
    mark += fmt::format("{}{}.{}.{}.{:09}", mark.empty() ? "" : "+", facts.st_ino, facts.st_size, facts.st_mtim.tv_sec,
                        facts.st_mtim.tv_nsec);
  }
  return mark;
}

std::string copy_with_sum(const std::string& from, const std::string& to) {
  const File in(from, O_RDONLY);
  struct stat facts {};
  if (::fstat(in.get(), &facts) != 0) fail(from);
  const File out(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  Sha256 sum;
  std::string piece(kPiece, '\0');
  ssize_t got = 0;
  while ((got = ::read(in.get(), piece.data(), piece.size())) > 0) {
    const std::string_view part = std::string_view(piece).substr(0, static_cast<size_t>(got));
    sum.update(part);
    for (size_t done = 0; done < part.size();) {
      const ssize_t written = ::write(out.get(), part.data() + done, part.size() - done);
      if (written < 0) fail(to);
      done += static_cast<size_t>(written);
    }
  }
  if (got < 0) fail(from);
  if (::fchmod(out.get(), facts.st_mode & 07777) != 0) fail(to);
  return sum.hex();
}

Backup::Backup(std::string state, std::string backups, const Clock& clock, Options options)
    : state_(std::move(state)), backups_(std::move(backups)), clock_(clock), options_(std::move(options)) {}

Backup::~Backup() {
  std::error_code ignored;
  if (lock_file_ >= 0) fs::remove_all(state_ + "/backup.pins", ignored);
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
  if (lock_file_ >= 0) ::close(lock_file_);
}

std::string Backup::run() {
  lock();
  begin();
  if (fs::exists(state_ + "/drop")) copy_folder("drop");
  if (fs::exists(state_ + "/queue.db")) copy_queue();
  take_database("directory.db");
  copy_rest();
  copy_accounts();
  finish();
  if (problems_.empty() && options_.keep > 0) remove_old();
  return backups_ + '/' + name_;
}

/// One at a time, whatever folder it goes to.
void Backup::lock() {
  const std::string path = state_ + "/backup.lock";
  lock_file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  if (lock_file_ < 0) fail(path);
  if (::flock(lock_file_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(std::exchange(lock_file_, -1));
  throw std::runtime_error("Another backup is being made. Wait until it is done.");
}

/// What an earlier run left that was ended goes first.
void Backup::begin() {
  const fs::path inside = fs::weakly_canonical(backups_).lexically_relative(fs::weakly_canonical(state_));
  if (!inside.empty() && *inside.begin() != "..")
    throw std::runtime_error(fmt::format("{} lies in the state folder. Name a folder elsewhere.", backups_));
  make_folder(backups_);
  for (const auto& entry : fs::directory_iterator(backups_)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(kUnfinished) || name.ends_with(kRemoved)) fs::remove_all(entry.path());
  }
  if (const auto names = generations_of(backups_); !names.empty()) {
    previous_folder_ = backups_ + '/' + names.back();
    previous_ = Manifest::read(previous_folder_);
  }
  manifest_.begun = clock_.unix_time();
  const std::string name = fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(static_cast<time_t>(manifest_.begun)));
  name_ = name;
  for (int number = 2; fs::exists(backups_ + '/' + name_); ++number) name_ = fmt::format("{}-{}", name, number);
  folder_ = fmt::format("{}/{}{}", backups_, name_, kUnfinished);
  make_folder(folder_);
  fs::remove_all(state_ + "/backup.pins");
}

std::string Backup::target(const std::string& path) {
  const std::string to = folder_ + '/' + path;
  fs::create_directories(fs::path(to).parent_path());
  return to;
}

void Backup::enter(const std::string& path, BackupFile file, bool copied) {
  ++counts_.files;
  counts_.octets += file.size;
  if (copied) {
    ++counts_.copied;
    counts_.copied_octets += file.size;
  }
  manifest_.files[path] = std::move(file);
  if (options_.progress) options_.progress(path, done_, all_);
}

bool Backup::take_unchanged(const std::string& path, const std::string& mark) {
  if (mark.empty() || !previous_) return false;
  const auto found = previous_->files.find(path);
  return found != previous_->files.end() && found->second.mark == mark && carry_over(path);
}

bool Backup::carry_over(const std::string& path) {
  if (!previous_) return false;
  const auto found = previous_->files.find(path);
  const std::string from = previous_folder_ + '/' + path;
  if (found == previous_->files.end() || ::link(from.c_str(), target(path).c_str()) != 0) return false;
  enter(path, found->second, false);
  return true;
}

/// A file that nobody writes to once it is there. One that goes meanwhile is not wanted any more.
void Backup::take_file(const std::string& from, const std::string& path) {
  BackupFile file;
  file.mark = mark_of(from);
  if (take_unchanged(path, file.mark)) return;
  const std::string to = target(path);
  try {
    file.sha256 = copy_with_sum(from, to);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
    return;
  }
  struct stat facts {};
  if (::stat(to.c_str(), &facts) != 0) fail(to);
  file.mode = facts.st_mode & 07777;
  file.size = static_cast<uint64_t>(facts.st_size);
  enter(path, std::move(file), true);
}

/// In one snapshot. Gives what is wrong with it; then it is not entered, and lies there with ".damaged" behind its
/// name.
std::string Backup::take_database(const std::string& path) {
  const std::string from = state_ + '/' + path, to = target(path);
  BackupFile file;
  file.mark = mark_of(from);
  if (take_unchanged(path, file.mark)) return {};
  struct stat facts {};
  if (::stat(from.c_str(), &facts) != 0) fail(from);
  file.mode = facts.st_mode & 07777;
  if (path == "queue.db") {
    fs::rename(folder_ + "/queue.db.copy", to);  // copy_queue() has it
    file.mark.clear();
  } else {
    Database source(from, OpenMode::must_exist, Sync::normal);
    const ReadTransaction snapshot(source);
    source.copy_to(to);
  }
  if (::chmod(to.c_str(), file.mode) != 0) fail(to);
  if (std::string wrong = check_file(to); !wrong.empty()) {
    fs::rename(to, to + ".damaged");
    return wrong;
  }
  file.sha256 = sha256_of_file(to);
  file.size = fs::file_size(to);
  enter(path, std::move(file), true);
  return {};
}

/// Holds on to the spool files that the queue names now. False: some are gone already.
bool Backup::pin_spool(Database& queue) {
  bool all = true;
  Rows rows(queue.prepare("SELECT spool FROM message WHERE spool <> ''"));
  while (rows.next()) {
    const std::string name(rows->text(0));
    const std::string from = state_ + "/spool/" + name, pin = state_ + "/backup.pins/" + name;
    if (::link(from.c_str(), pin.c_str()) == 0 || errno == EEXIST) continue;
    if (errno != ENOENT) fail(from);
    all = false;
  }
  return all;
}

/// A message may end, and its spool file go, between the snapshot and the link: then another snapshot is taken.
void Backup::copy_queue() {
  make_folder(state_ + "/backup.pins");
  {
    Database queue(state_ + "/queue.db", OpenMode::must_exist, Sync::normal);
    for (int tries = 1;; ++tries) {
      const ReadTransaction snapshot(queue);
      const bool all = pin_spool(queue);
      if (!all && tries < kMaxQueueTries) continue;
      if (!all) problems_.emplace_back("Large messages of the queue come and go too fast: some may have no text.");
      queue.copy_to(target("queue.db.copy"));
      break;
    }
  }
  if (const std::string wrong = take_database("queue.db"); !wrong.empty())
    throw std::runtime_error(fmt::format("queue.db is damaged: {}.", wrong));
  for (const auto& entry : fs::directory_iterator(state_ + "/backup.pins"))
    take_file(entry.path(), "spool/" + entry.path().filename().string());
  fs::remove_all(state_ + "/backup.pins");
}

void Backup::copy_folder(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(state_ + '/' + folder)) {
    const std::string name = entry.path().filename();
    if (entry.is_symlink() || is_passing(name)) continue;
    if (entry.is_directory()) {
      copy_folder(folder + '/' + name);
    } else if (entry.is_regular_file()) {
      take_file(entry.path(), folder + '/' + name);
    }
  }
}

/// Keys, certificates, and the databases without which no mail is lost.
void Backup::copy_rest() {
  constexpr std::array<std::string_view, 5> kElsewhere = {"accounts", "drop", "spool", "run", "backup.pins"};
  for (const auto& entry : fs::directory_iterator(state_)) {
    const std::string name = entry.path().filename();
    if (entry.is_symlink() || is_passing(name) || manifest_.files.contains(name)) continue;
    if (entry.is_directory()) {
      if (name.starts_with("restore.scratch")) continue;
      if (std::find(kElsewhere.begin(), kElsewhere.end(), name) == kElsewhere.end()) copy_folder(name);
    } else if (name.ends_with(".db")) {
      const std::string wrong = take_database(name);
      if (!wrong.empty()) problems_.push_back(fmt::format("{} is damaged: {}.", name, wrong));
    } else if (entry.is_regular_file()) {
      take_file(entry.path(), name);
    }
  }
}

void Backup::copy_accounts() {
  const std::vector<AccountInfo> accounts = Directory(state_, clock_).accounts();
  const Accounts files(state_, 0, clock_);
  all_ = accounts.size();
  for (const AccountInfo& account : accounts) {
    ++done_;
    const std::string path = files.path_of(account.id);
    copy_account(account, path.substr(state_.size() + 1));
  }
}

void Backup::copy_account(const AccountInfo& account, const std::string& path) {
  std::string wrong;
  try {
    const std::string from = state_ + '/' + path;
    if (identity_of(from) == 0 && !is_set_aside(from)) return;  // it never had mail
    if (identity_of(from) == 0) {
      wrong = "its file was damaged and is set aside";
    } else if (take_unchanged(path, mark_of(from))) {
      return;
    } else if (is_older_than_flushed(from)) {
      wrong = "it is older than what was flushed";
    } else {
      wrong = take_database(path);
    }
  } catch (const SqliteError& error) {
    if (!error.is_corrupt()) throw;
    wrong = error.what();
  }
  if (wrong.empty()) return;
  std::error_code ignored;
  fs::remove(folder_ + '/' + path, ignored);
  const bool older = carry_over(path);
  problems_.push_back(fmt::format(
      "The account {} could not be copied ({}). {}", account.address, wrong,
      older ? "This backup holds the copy that the one before has." : "No backup before this one has a copy of it."));
}

/// Everything on the disk, then the manifest, then the name.
void Backup::finish() {
  manifest_.ended = clock_.unix_time();
  flush_file_system(folder_);
  manifest_.write(folder_);
  flush_folder(folder_);
  const std::string to = backups_ + '/' + name_;
  if (::rename(folder_.c_str(), to.c_str()) != 0) fail(to);
  folder_.clear();
  flush_folder(backups_);
}

void Backup::remove_old() {
  const std::vector<std::string> names = generations_of(backups_);
  for (size_t i = 0; i + options_.keep < names.size(); ++i) {
    const std::string path = backups_ + '/' + names[i], removed = path + std::string(kRemoved);
    fs::rename(path, removed);
    fs::remove_all(removed);
  }
}

}  // namespace postrider::store
