#include "store/backup_restore.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "store/backup.h"
#include "store/scratch.h"
#include "store/small_file.h"
#include "store/writer_lock.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDirectory = "directory.db";

/// Folders of a state folder are for the daemons' group too, whatever the umask says.
void make_folders(const fs::path& path) {
  if (path.empty() || fs::exists(path)) return;
  make_folders(path.parent_path());
  if (::mkdir(path.c_str(), 02770) != 0 || ::chmod(path.c_str(), 02770) != 0)
    throw std::system_error(errno, std::generic_category(), path);
}

void take(const std::string& folder, const Manifest& manifest, const std::string& path, const std::string& to) {
  const auto found = manifest.files.find(path);
  if (found == manifest.files.end()) throw std::runtime_error(fmt::format("The backup {} has no {}.", folder, path));
  const std::string sum = copy_with_sum(folder + '/' + path, to);
  if (sum != found->second.sha256) {
    throw std::runtime_error(fmt::format(
        "{}/{} is not what was written there. `mailctl backup --verify` shows which backups are whole.", folder, path));
  }
  if (::chmod(to.c_str(), found->second.mode) != 0) throw std::system_error(errno, std::generic_category(), to);
}

/// The newest UIDVALIDITY of the file that is there; 0: there is none, or it cannot be read. Two files that take each
/// other's place within a second would have the same one otherwise, and each give the same UIDs to its own messages.
int64_t last_uid_validity(const std::string& path) {
  if (identity_of(path) == 0) return 0;
  try {
    Database database(path, OpenMode::must_exist, Sync::normal);
    Rows rows(database.prepare("SELECT uid_validity FROM state"));
    return rows.next() ? rows->integer(0) : 0;
  } catch (const SqliteError&) {
    return 0;
  }
}

/// The account of accounts/xx/ID.db; 0 for any other path.
AccountId account_of(std::string_view path) {
  if (!path.starts_with("accounts/") || !path.ends_with(".db")) return 0;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  AccountId id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  return error == std::errc() && end == name.data() + name.size() - 3 ? id : 0;
}

}  // namespace

std::vector<std::string> verify_backup(const std::string& folder, const Manifest& manifest, const OnFile& on_file) {
  std::vector<std::string> wrong;
  for (const auto& [path, file] : manifest.files) {
    if (on_file) on_file(path);
    try {
      if (sha256_of_file(folder + '/' + path) == file.sha256) continue;
    } catch (const std::system_error&) {
    }
    wrong.push_back(path);
  }
  return wrong;
}

void restore_state(const std::string& folder, const Manifest& manifest, const std::string& state, const Clock& clock,
                   const OnFile& on_file) {
  for (const char* name : {"directory.db", "queue.db", "accounts"}) {
    if (!fs::exists(state + '/' + name)) continue;
    throw std::runtime_error(fmt::format(
        "{} holds mail already ({}). Everything is restored into an empty state folder: move this one away first.",
        state, name));
  }
  if (const auto wrong = verify_backup(folder, manifest, on_file); !wrong.empty()) {
    throw std::runtime_error(
        fmt::format("{}/{} is not what was written there, and {} other files are not. Nothing was "
                    "restored; take another backup.",
                    folder, wrong[0], wrong.size() - 1));
  }
  for (const auto& [path, file] : manifest.files) {
    if (path == kDirectory) continue;
    if (on_file) on_file(path);
    const std::string to = state + '/' + path;
    make_folders(fs::path(to).parent_path());
    take(folder, manifest, path, to);
    if (const AccountId id = account_of(path); id != 0) number_anew(to, id, {}, clock);
  }
  make_folders(state + "/spool");
  flush_file_system(state);
  take(folder, manifest, std::string(kDirectory), fmt::format("{}/{}", state, kDirectory));
  flush_file_system(state);
}

void take_from_backup(const std::string& folder, const Manifest& manifest, const std::string& path,
                      const std::string& to) {
  take(folder, manifest, path, to);
  if (::chmod(to.c_str(), 0600) != 0) throw std::system_error(errno, std::generic_category(), to);
}

std::string replace_account(const std::string& folder, const Manifest& manifest, const std::string& source,
                            const std::string& path, AccountId id, const Clock& clock) {
  make_folders(fs::path(path).parent_path());
  const Scratch scratch(path + ".scratch");
  const std::string fresh = fmt::format("{}/{}.db", scratch.path, id);
  take(folder, manifest, source, fresh);
  AccountFile file(path);
  const ModSeq modseq = number_anew(fresh, id, {file.flushed(), last_uid_validity(path)}, clock);
  const WriterLock lock(file.lock_file());
  std::string kept;
  // What was written up to now counts for the numbers too.
  if (identity_of(path) != 0) kept = set_aside(file, identity_of(path), "replaced", clock.unix_time());
  put_in_place(file, fresh, path, std::max(modseq, ModSeq{1}), clock.unix_time());
  return kept;
}

}  // namespace postrider::store
