#include "store/wal_vfs.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "store/sqlite.h"

namespace postrider::store {
namespace {

// https://www.sqlite.org/fileformat2.html, 4.1: a frame is a header of 24 octets and a page. Octets 4 to 7 of the
// header are the size of the database after a commit, and zero in every other frame.
constexpr int kFrameHeader = 24;
constexpr size_t kCommitSize = 4;

// Zeros are written ahead of the frames, in steps of as much as the file has, from the least to the most: a frame
// with zeros in its header is none (4.1: the salts differ).
constexpr sqlite3_int64 kLeastWalStep = 32 << 10;
constexpr sqlite3_int64 kMostWalStep = 1 << 20;
constexpr std::array<char, 64 << 10> kZeros{};

// Of the locks in the shared memory (walformat.html, 2.2.1) the first is the writer's.
constexpr int kWriterLock = 0;

sqlite3_vfs* system_vfs() {
  static sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  return vfs;
}

/// Handles are many and their commits short: the memory belongs to the thread that commits.
std::string& spare() {
  thread_local std::string buffer;
  return buffer;
}

/// A file of a database, or its WAL. SQLite gives the memory; the system's file object lies behind this one.
struct File {
  sqlite3_file base;
  File* other;           // the WAL of a database, if it is open, and the database of a WAL
  std::string gathered;  // of a WAL, and not in the file yet: what comes before end
  sqlite3_int64 end;     // of what was written last
  bool commits;          // the frame that is being written ends a transaction
  sqlite3_int64 room;    // the size of the file when this handle last looked: others make it longer
  const char* name;      // of a WAL
  ino_t identity;        // of a WAL, as it was opened

  sqlite3_file* system() { return reinterpret_cast<sqlite3_file*>(this + 1); }

  bool has_moved() const {
    struct stat facts {};
    return ::stat(name, &facts) != 0 || facts.st_ino != identity;
  }
  /// Somebody writes to another WAL of that name: what is shared of the log is about that one.
  bool is_replaced() const {
    struct stat facts {};
    return ::stat(name, &facts) == 0 && facts.st_ino != identity && facts.st_size > 0;
  }

  int put(std::string_view data, sqlite3_int64 at) {
    make_room(at + static_cast<sqlite3_int64>(data.size()));
    return system()->pMethods->xWrite(system(), data.data(), static_cast<int>(data.size()), at);
  }

  /// Where this fails, the write that needs the room says so.
  void make_room(sqlite3_int64 needed) {
    if (needed <= room || system()->pMethods->xFileSize(system(), &room) != SQLITE_OK || needed <= room) return;
    const sqlite3_int64 step = std::clamp(room, kLeastWalStep, kMostWalStep);
    const sqlite3_int64 wanted = (needed + step - 1) / step * step;
    while (room < wanted) {
      const auto part = std::min<sqlite3_int64>(kZeros.size(), wanted - room);
      if (system()->pMethods->xWrite(system(), kZeros.data(), static_cast<int>(part), room) != SQLITE_OK) return;
      room += part;
    }
  }

  int write_out() {
    if (gathered.empty()) return SQLITE_OK;
    const int code = put(gathered, end - static_cast<sqlite3_int64>(gathered.size()));
    forget();
    return code;
  }

  /// What has gathered belongs to no transaction that will end.
  void forget() {
    gathered.clear();
    if (gathered.capacity() > 0) spare() = std::exchange(gathered, {});
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
    if (!goes_on) return put(data, at);
    if (gathered.empty()) gathered = std::exchange(spare(), {});
    gathered += data;
    return commits && data.size() != kFrameHeader ? write_out() : SQLITE_OK;
  }
};

File& self(sqlite3_file* file) {
  return *reinterpret_cast<File*>(file);
}

/// A method that is the system's own.
template <auto kMethod>
struct Own;
template <class Result, class... Args, Result (*sqlite3_io_methods::*kMethod)(sqlite3_file*, Args...)>
struct Own<kMethod> {
  static Result call(sqlite3_file* file, Args... args) {
    sqlite3_file* system = self(file).system();
    return (system->pMethods->*kMethod)(system, args...);
  }
  /// Whatever else is done with a WAL finds in it what was written.
  static Result after_writing(sqlite3_file* file, Args... args) {
    const int code = self(file).write_out();
    return code != SQLITE_OK ? code : call(file, args...);
  }
};

int close(sqlite3_file* file) {
  File& closed = self(file);
  if (closed.other != nullptr) closed.other->other = nullptr;
  sqlite3_file* system = closed.system();
  const int code = system->pMethods->xClose(system);
  closed.~File();
  return code;
}

int write_wal(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  try {
    return self(file).write({static_cast<const char*>(from), static_cast<size_t>(size)}, at);
  } catch (const std::bad_alloc&) {
    self(file).forget();
    return SQLITE_IOERR_NOMEM;
  }
}

int truncate_wal(sqlite3_file* file, sqlite3_int64 size) {
  self(file).room = 0;  // not known
  return Own<&sqlite3_io_methods::xTruncate>::after_writing(file, size);
}

/// Who lets go of the writer's lock has nothing left to write: others may write the same frames from now on. What is
/// gathered here then was rolled back. Who has a WAL that was deleted may write, and empty it into the database, only
/// until somebody writes to a new one.
int lock_shared(sqlite3_file* file, int first, int count, int flags) {
  const auto own = Own<&sqlite3_io_methods::xShmLock>::call;
  File* wal = self(file).other;
  if (wal == nullptr || first != kWriterLock) return own(file, first, count, flags);
  if ((flags & SQLITE_SHM_UNLOCK) != 0) wal->forget();
  const int code = own(file, first, count, flags);
  if (code != SQLITE_OK || (flags & SQLITE_SHM_LOCK) == 0 || !wal->is_replaced()) return code;
  own(file, first, count, (flags & ~SQLITE_SHM_LOCK) | SQLITE_SHM_UNLOCK);
  return SQLITE_IOERR;
}

int control(sqlite3_file* file, int what, void* answer) {
  if (what != kWalHasMoved) return Own<&sqlite3_io_methods::xFileControl>::call(file, what, answer);
  const File* wal = self(file).other;
  *static_cast<int*>(answer) = wal != nullptr && wal->has_moved() ? 1 : 0;
  return SQLITE_OK;
}

using Methods = sqlite3_io_methods;

constexpr Methods kDatabaseMethods = {
    .iVersion = 3,
    .xClose = close,
    .xRead = Own<&Methods::xRead>::call,
    .xWrite = Own<&Methods::xWrite>::call,
    .xTruncate = Own<&Methods::xTruncate>::call,
    .xSync = Own<&Methods::xSync>::call,
    .xFileSize = Own<&Methods::xFileSize>::call,
    .xLock = Own<&Methods::xLock>::call,
    .xUnlock = Own<&Methods::xUnlock>::call,
    .xCheckReservedLock = Own<&Methods::xCheckReservedLock>::call,
    .xFileControl = control,
    .xSectorSize = Own<&Methods::xSectorSize>::call,
    .xDeviceCharacteristics = Own<&Methods::xDeviceCharacteristics>::call,
    .xShmMap = Own<&Methods::xShmMap>::call,
    .xShmLock = lock_shared,
    .xShmBarrier = Own<&Methods::xShmBarrier>::call,
    .xShmUnmap = Own<&Methods::xShmUnmap>::call,
    .xFetch = Own<&Methods::xFetch>::call,
    .xUnfetch = Own<&Methods::xUnfetch>::call,
};

constexpr Methods kWalMethods = {
    .iVersion = 1,  // WAL files are not mapped and have no shared memory of their own
    .xClose = close,
    .xRead = Own<&Methods::xRead>::after_writing,
    .xWrite = write_wal,
    .xTruncate = truncate_wal,
    .xSync = Own<&Methods::xSync>::after_writing,
    .xFileSize = Own<&Methods::xFileSize>::after_writing,
    .xLock = Own<&Methods::xLock>::after_writing,
    .xUnlock = Own<&Methods::xUnlock>::after_writing,
    .xCheckReservedLock = Own<&Methods::xCheckReservedLock>::after_writing,
    .xFileControl = Own<&Methods::xFileControl>::after_writing,
    .xSectorSize = Own<&Methods::xSectorSize>::call,
    .xDeviceCharacteristics = Own<&Methods::xDeviceCharacteristics>::call,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  sqlite3_vfs* system = system_vfs();
  const bool is_wal = (flags & SQLITE_OPEN_WAL) != 0;
  if (!is_wal && (flags & SQLITE_OPEN_MAIN_DB) == 0) return system->xOpen(system, name, file, flags, flags_out);
  file->pMethods = nullptr;  // SQLite closes what has methods
  auto* opened = new (file) File{};
  const int code = system->xOpen(system, name, opened->system(), flags, flags_out);
  if (code != SQLITE_OK) {
    opened->~File();
    return code;
  }
  opened->base.pMethods = is_wal ? &kWalMethods : &kDatabaseMethods;
  if (is_wal) {
    opened->other = &self(sqlite3_database_file_object(name));
    opened->other->other = opened;
    struct stat facts {};
    opened->name = name;  // SQLite keeps it as long as the file is open
    opened->identity = ::stat(name, &facts) == 0 ? facts.st_ino : 0;
  }
  return SQLITE_OK;
}

}  // namespace

bool is_wal_lost(const SqliteError& error) {
  return error.code() == SQLITE_IOERR_SHORT_READ;
}

const char* wal_vfs() {
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs made = *system_vfs();
    made.szOsFile += static_cast<int>(sizeof(File));
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
