#include "store/account_file.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "store/small_file.h"
#include "store/writer_lock.h"

namespace postrider::store {
namespace {

constexpr size_t kNoteSize = 20;  // digits of the greatest modseq and more
constexpr std::string_view kDamaged = "damaged";
constexpr std::array<const char*, 3> kParts = {"-wal", "-shm", ""};  // the database last: it is what others look for

[[noreturn]] void fail(const std::string& path, std::string_view what) {
  throw SqliteError(0, fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

std::string lock_path(const std::string& path) {
  return path.substr(0, path.rfind('.')) + ".lock";
}

std::string note_of(ModSeq modseq) {
  return fmt::format("{0:0{1}} {0:0{1}}\n", modseq, kNoteSize);
}

/// The number stands there twice: a write that came to the disk in parts only is no note.
ModSeq read_note(int file) {
  std::string text(note_of(0).size(), '\0');
  if (::pread(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return 0;
  ModSeq modseq = 0;
  std::from_chars(text.data(), text.data() + kNoteSize, modseq);
  return text == note_of(modseq) ? modseq : 0;
}

/// False: it is not in the file, as far as this process knows.
bool write_note(int file, ModSeq modseq) {
  const std::string text = note_of(modseq);
  return ::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

/// A name that nothing has yet.
std::string free_name(const std::string& path, std::string_view word, UnixTime now) {
  const std::string name = fmt::format("{}.{}-{:%Y%m%dT%H%M%SZ}", path, word, fmt::gmtime(static_cast<time_t>(now)));
  std::string free = name;
  auto taken = [&] {
    return std::any_of(kParts.begin(), kParts.end(), [&](const char* part) { return identity_of(free + part) != 0; });
  };
  for (int number = 2; taken(); ++number) free = fmt::format("{}-{}", name, number);
  return free;
}

/// First all have both names: whatever happens in between, the log is where its database is.
void move_parts(const std::string& from, const std::string& to) {
  for (const char* part : kParts) {
    if (::link((from + part).c_str(), (to + part).c_str()) != 0 && errno != ENOENT) fail(from + part, "link");
  }
  const std::string folder = from.substr(0, from.rfind('/'));
  flush_folder(folder);
  for (const char* part : kParts) {
    if (::unlink((from + part).c_str()) != 0 && errno != ENOENT) fail(from + part, "unlink");
  }
  flush_folder(folder);
}

}  // namespace

AccountFile::AccountFile(const std::string& path) : path_(path) {
  const std::string lock = lock_path(path);
  lock_file_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  if (lock_file_ < 0) fail(lock, "open");
  ::fchmod(lock_file_, 0660);  // fails harmlessly where the file is another user's
}

AccountFile::~AccountFile() {
  ::close(lock_file_);
}

ModSeq AccountFile::flushed() const {
  return read_note(lock_file_);
}

void AccountFile::note_flushed(ModSeq modseq) {
  if (modseq == noted_) return;
  if (write_note(lock_file_, modseq)) noted_ = modseq;
}

void AccountFile::forget_flushed(ModSeq modseq) {
  if (!write_note(lock_file_, modseq) || ::fsync(lock_file_) != 0) fail(lock_path(path_), "write");
  noted_ = modseq;
}

SqliteError damaged_account(const std::string& path, std::string_view what) {
  return {SQLITE_CORRUPT, fmt::format("{}: {}", path, what)};
}

bool is_set_aside(const std::string& path) {
  if (identity_of(path) != 0) return false;
  const int file = ::open(lock_path(path).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool was_there = read_note(file) != 0;
  ::close(file);
  return was_there;
}

ino_t identity_of(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

std::string set_aside(const std::string& path, ino_t identity, std::string_view word, UnixTime now) {
  AccountFile file(path);
  const WriterLock lock(file.lock_file());
  return set_aside(file, identity, word, now);
}

std::string set_aside(AccountFile& file, ino_t identity, std::string_view word, UnixTime now) {
  const std::string& path = file.path();
  if (identity == 0 || identity_of(path) != identity) return {};
  // From here on nobody takes the missing file for an account that never had mail.
  if (file.flushed() == 0) file.forget_flushed(1);
  std::string name = free_name(path, word, now);
  try {
    move_parts(path, name);
  } catch (const std::system_error& error) {
    throw SqliteError(0, error.what());
  }
  return name;
}

std::vector<std::string> set_aside_files(const std::string& path) {
  std::vector<std::string> names;
  const std::string begin = fmt::format("{}.{}-", path.substr(path.rfind('/') + 1), kDamaged);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path.substr(0, path.rfind('/')), error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(begin) && !name.ends_with("-wal") && !name.ends_with("-shm")) names.push_back(entry.path());
  }
  std::sort(names.rbegin(), names.rend());
  return names;
}

void put_in_place(AccountFile& file, const std::string& fresh, const std::string& path, ModSeq modseq, UnixTime now) {
  // A log that lies here without its database would be taken for that of the new one.
  if (identity_of(path + "-wal") != 0 || identity_of(path + "-shm") != 0)
    move_parts(path, free_name(path, "stray", now));
  const int opened = ::open(fresh.c_str(), O_RDONLY | O_CLOEXEC);
  const bool flushed = opened >= 0 && ::fsync(opened) == 0;
  if (opened >= 0) ::close(opened);
  if (!flushed) fail(fresh, "flush");
  file.forget_flushed(modseq);  // no more than the file knows, whatever happens now
  if (::rename(fresh.c_str(), path.c_str()) != 0) fail(path, "rename");
  try {
    flush_folder(path.substr(0, path.rfind('/')));
  } catch (const std::system_error& error) {
    throw SqliteError(0, error.what());
  }
}

}  // namespace postrider::store
