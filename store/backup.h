// A backup of the state folder while the daemons run.
//
// BACKUPS/TIME/ is one generation: the state folder as it was, each file under its own path, and a manifest with the
// checksums. A file that did not change since the generation before is a hard link to that one's copy, so that each is
// whole and can be read, copied and removed alone. A generation gets its name when all of it is on the disk.
//
// What is copied when (see Backup::run()):
//   1. drop/         what programs left, before the queue that takes it from there
//   2. queue.db      in one snapshot, with the spool files that it names
//   3. directory.db  so that it knows every account that the queue has mail for
//   4. accounts      each in a snapshot of its own; and keys and everything else
// A message that was acknowledged before the backup began is in the copy of the queue, or it had ended before that was
// made; then it lay flushed in its account before the account was copied. It may be in both: its delivery key keeps a
// delivery that is repeated from being there twice. The other way round, a message could leave the queue before that
// is copied and reach its account after that was. Only what a user moves into another user's mailbox meanwhile may be
// found as a tombstone in the account where it was (`mailctl restore`), where that one was copied last.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/accounts.h"
#include "store/backup_manifest.h"
#include "store/directory.h"

namespace postrider::store {

constexpr int kMaxQueueTries = 50;  // until no spool file goes between the snapshot and its link

struct BackupCounts {
  uint64_t files = 0;   // of the generation
  uint64_t copied = 0;  // of these; the others are links
  uint64_t octets = 0;  // of these
  uint64_t copied_octets = 0;
};

class Backup {
 public:
  struct Options {
    size_t keep = 0;  // complete generations, with this one; 0: all
    /// Told after each file: its path, and how many accounts of how many are done.
    std::function<void(const std::string& path, size_t done, size_t all)> progress;
  };
  /// state: the state folder. backups: where generations are, outside of it; made where it is missing.
  Backup(std::string state, std::string backups, const Clock& clock, Options options);
  ~Backup();

  /// Makes a generation and gives its folder. Throws SqliteError, std::system_error, std::runtime_error (a sentence);
  /// then there is none.
  std::string run();
  const BackupCounts& counts() const { return counts_; }
  /// What of it is not as it should be, in sentences. Then no older generation was removed.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void lock();
  void begin();
  void copy_queue();
  bool pin_spool(Database& queue);
  void copy_folder(const std::string& folder);
  void copy_rest();
  void copy_accounts();
  void copy_account(const AccountInfo& account, const std::string& path);
  void take_file(const std::string& from, const std::string& path);
  bool take_unchanged(const std::string& path, const std::string& mark);
  /// The one of the generation before, instead of what cannot be had.
  bool carry_over(const std::string& path);
  std::string take_database(const std::string& path);
  void enter(const std::string& path, BackupFile file, bool copied);
  std::string target(const std::string& path);
  void finish();
  void remove_old();

  const std::string state_, backups_;
  const Clock& clock_;
  const Options options_;
  int lock_file_ = -1;
  std::string previous_folder_, folder_, name_;  // folder_: in the making
  std::optional<Manifest> previous_;
  Manifest manifest_;
  BackupCounts counts_;
  std::vector<std::string> problems_;
  size_t done_ = 0, all_ = 0;
};

/// What shows that a file, and a database's log, was not written to since; empty where it was written to just now, so
/// that the next write may leave the same.
std::string mark_of(const std::string& path);

/// Copies a file with its mode, and gives its checksum. Throws std::system_error.
std::string copy_with_sum(const std::string& from, const std::string& to);

}  // namespace postrider::store
