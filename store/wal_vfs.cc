#include "store/wal_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "store/sqlite.h"

namespace postrider::store {
namespace {

// https://www.sqlite.org/fileformat2.html, 4.1: a frame is a header of 24 octets and a page. Octets 4 to 7 of the header
// are the size of the database after a commit, and zero in every other frame.
constexpr int kFrameHeader = 24;
constexpr size_t kCommitSize = 4;

sqlite3_vfs* system_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  return vfs;
}

/// Handles are many and their commits short: the memory belongs to the thread that commits.
std::string& spare() {
  thread_local std::string buffer;
  return buffer;
}

/// A WAL file. SQLite gives the memory; the system's file object lies behind this one.
struct WalFile {
  sqlite3_file base;
  std::string gathered;  // not in the file yet: what comes before end
  sqlite3_int64 end;     // of what was written last
  bool commits;          // the frame that is being written ends a transaction

  sqlite3_file* system() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  const sqlite3_io_methods& methods() { return *system()->pMethods; }

  int write_out() {
    if (gathered.empty()) return SQLITE_OK;
    const int size = static_cast<int>(gathered.size());
    const int code = methods().xWrite(system(), gathered.data(), size, end - size);
    gathered.clear();
    spare() = std::exchange(gathered, {});
    return code;
  }

  int write(std::string_view data, sqlite3_int64 at) {
    // Only what goes on where the last write ended is a frame of a running transaction. The rest is rare: a new
    // beginning, or frames that are written over.
    const bool goes_on = at == end;
    if (!goes_on || gathered.size() + data.size() > kMaxGatheredFrames) {
      if (const int code = write_out(); code != SQLITE_OK) return code;
    }
    end = at + static_cast<sqlite3_int64>(data.size());
    if (data.size() == kFrameHeader) {
      const std::string_view size = data.substr(kCommitSize, sizeof(uint32_t));
      commits = std::any_of(size.begin(), size.end(), [](char c) { return c != 0; });
    }
    if (!goes_on) return methods().xWrite(system(), data.data(), static_cast<int>(data.size()), at);
    if (gathered.empty()) gathered = std::exchange(spare(), {});
    gathered += data;
    return commits && data.size() != kFrameHeader ? write_out() : SQLITE_OK;
  }
};

WalFile& self(sqlite3_file* file) {
  return *reinterpret_cast<WalFile*>(file);
}

/// Whatever else is done with the file finds in it what was written.
template <class Method, class... Args>
int after_writing(sqlite3_file* file, Method sqlite3_io_methods::*method, Args... args) {
  WalFile& wal = self(file);
  const int code = wal.write_out();
  return code != SQLITE_OK ? code : (wal.methods().*method)(wal.system(), args...);
}

int close_wal(sqlite3_file* file) {
  // What has gathered belongs to no transaction that ended.
  const int code = self(file).methods().xClose(self(file).system());
  self(file).~WalFile();
  return code;
}
int read_wal(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
  return after_writing(file, &sqlite3_io_methods::xRead, to, size, at);
}
int write_wal(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  try {
    return self(file).write({static_cast<const char*>(from), static_cast<size_t>(size)}, at);
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  }
}
int truncate_wal(sqlite3_file* file, sqlite3_int64 size) {
  return after_writing(file, &sqlite3_io_methods::xTruncate, size);
}
int sync_wal(sqlite3_file* file, int flags) {
  return after_writing(file, &sqlite3_io_methods::xSync, flags);
}
int size_of_wal(sqlite3_file* file, sqlite3_int64* size) {
  return after_writing(file, &sqlite3_io_methods::xFileSize, size);
}
int lock_wal(sqlite3_file* file, int level) {
  return after_writing(file, &sqlite3_io_methods::xLock, level);
}
int unlock_wal(sqlite3_file* file, int level) {
  return after_writing(file, &sqlite3_io_methods::xUnlock, level);
}
int check_wal(sqlite3_file* file, int* reserved) {
  return after_writing(file, &sqlite3_io_methods::xCheckReservedLock, reserved);
}
int control_wal(sqlite3_file* file, int what, void* with) {
  return after_writing(file, &sqlite3_io_methods::xFileControl, what, with);
}
int sector_of_wal(sqlite3_file* file) {
  return self(file).methods().xSectorSize(self(file).system());
}
int character_of_wal(sqlite3_file* file) {
  return self(file).methods().xDeviceCharacteristics(self(file).system());
}

constexpr sqlite3_io_methods kWalMethods = {
    .iVersion = 1,  // WAL files are not mapped and have no shared memory of their own
    .xClose = close_wal,
    .xRead = read_wal,
    .xWrite = write_wal,
    .xTruncate = truncate_wal,
    .xSync = sync_wal,
    .xFileSize = size_of_wal,
    .xLock = lock_wal,
    .xUnlock = unlock_wal,
    .xCheckReservedLock = check_wal,
    .xFileControl = control_wal,
    .xSectorSize = sector_of_wal,
    .xDeviceCharacteristics = character_of_wal,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  sqlite3_vfs* system = system_vfs();
  if ((flags & SQLITE_OPEN_WAL) == 0) return system->xOpen(system, name, file, flags, flags_out);
  file->pMethods = nullptr;  // SQLite closes what has methods
  auto* wal = new (file) WalFile{};
  const int code = system->xOpen(system, name, wal->system(), flags, flags_out);
  if (code == SQLITE_OK) {
    wal->base.pMethods = &kWalMethods;
  } else {
    wal->~WalFile();
  }
  return code;
}

}  // namespace

const char* wal_vfs() {
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs made = *system_vfs();
    made.szOsFile += static_cast<int>(sizeof(WalFile));
    made.pNext = nullptr;
    made.zName = "postrider";
    made.xOpen = open_file;
    return made;
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  if (registered != SQLITE_OK) throw SqliteError(registered, "SQLite takes no file layer");
  return vfs.zName;
}

}  // namespace postrider::store
