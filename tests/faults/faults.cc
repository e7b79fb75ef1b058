// A file layer for tests, put before a daemon by LD_PRELOAD: what was not yet flushed can be taken back as a power cut
// does, calls fail or end the process when a test says so, and the clock is as wrong as a test wants it.
//
// POSTRIDER_FAULTS names the state folder. Below it, STATE/.faults/ holds
//   undo/INODE    what the writes to a file since its last flush have overwritten
//   names/INODE   what has changed in a folder since its last flush
//   saved/        links to files that were removed or replaced since
//   control       what is to fail now: written by tests/e2e/torture.py, which also takes back what is in undo/ and
//   names/ events        a line for each rule that came true lock          held around every call that changes
//   something: who holds it stops the world boot_id       read instead of the kernel's
// Flushes do nothing but forget what could be taken back. Shared memory (-shm, run/) and locks need no flush and are
// left alone.
#include "tests/faults/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

namespace faults {
namespace {

constexpr size_t kMaxFiles = 1 << 20;   // descriptors that are known
constexpr size_t kMaxUndone = 1 << 20;  // octets of one write that are kept at once

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

struct Real {
  int (*open)(const char*, int, ...) = next<int(const char*, int, ...)>("open64");
  int (*openat)(int, const char*, int, ...) = next<int(int, const char*, int, ...)>("openat64");
  int (*close)(int) = next<int(int)>("close");
  ssize_t (*write)(int, const void*, size_t) = next<ssize_t(int, const void*, size_t)>("write");
  ssize_t (*pwrite)(int, const void*, size_t, off_t) = next<ssize_t(int, const void*, size_t, off_t)>("pwrite64");
  int (*ftruncate)(int, off_t) = next<int(int, off_t)>("ftruncate64");
  int (*fsync)(int) = next<int(int)>("fsync");
  int (*fdatasync)(int) = next<int(int)>("fdatasync");
  int (*rename)(const char*, const char*) = next<int(const char*, const char*)>("rename");
  int (*unlink)(const char*) = next<int(const char*)>("unlink");
  int (*remove)(const char*) = next<int(const char*)>("remove");
  int (*link)(const char*, const char*) = next<int(const char*, const char*)>("link");
  int (*mkdir)(const char*, mode_t) = next<int(const char*, mode_t)>("mkdir");
  std::FILE* (*fopen)(const char*, const char*) = next<std::FILE*(const char*, const char*)>("fopen64");
  int (*fallocate)(int, off_t, off_t) = next<int(int, off_t, off_t)>("posix_fallocate64");
  int (*fstat)(int, struct stat*) = next<int(int, struct stat*)>("fstat64");
};

/// Before anything else of this file: a program may open files before our constructor runs.
Real& real() {
  static Real calls;
  return calls;
}

/// STATE/.faults/control, as the test writes it.
struct Control {
  std::atomic<uint64_t> generation;
  std::atomic<int64_t> clock_offset;  // seconds
  char rules[4096 - 16];
};

struct File {
  std::string path;  // within the state folder
  ino_t inode = 0;
  int undo = -1;  // the journal of what can be taken back
  bool is_folder = false;
};

class Layer {
 public:
  /// Null where there is none, and for what its making calls itself.
  static Layer* get() {
    static std::atomic<Layer*> layer = nullptr;
    static std::atomic<bool> begun = false;
    if (!begun.load() && !begun.exchange(true)) layer = make();
    return layer.load();
  }

  /// Not every way to close a file goes through here: the number may be another's by now.
  bool watches(int file) {
    if (file < 0 || static_cast<size_t>(file) >= kMaxFiles) return false;
    const File* known = known_[static_cast<size_t>(file)].load();
    if (known == nullptr) return false;
    struct stat facts {};
    // To a thread sanitizer, a file that is being closed here is closed already, and its number perhaps another's.
    if (real().fstat(file, &facts) == 0 && facts.st_ino == known->inode) return true;
    close(file);
    return false;
  }
  int64_t clock_offset() const { return control_->clock_offset.load(); }

  int open(int at, const char* path, int flags, mode_t mode);
  void close(int file);
  ssize_t write(int file, const void* bytes, size_t size, off_t at);
  int ftruncate(int file, off_t size);
  int flush(int file);
  int rename(const char* from, const char* to);
  int unlink(const char* path, int (*call)(const char*));
  int link(const char* from, const char* to);
  int mkdir(const char* path, mode_t mode);
  int fallocate(int file, off_t offset, off_t size);
  std::string replaced(const char* path) const {
    return std::strcmp(path, "/proc/sys/kernel/random/boot_id") == 0 ? folder_ + "/boot_id" : path;
  }

 private:
  /// Everybody else, in this process and others, stands still meanwhile.
  class Guard {
   public:
    explicit Guard(Layer& layer) : layer_(layer), lock_(layer.mutex_) {
      while (::flock(layer_.lock_, LOCK_EX) != 0 && errno == EINTR) {
      }
    }
    ~Guard() {
      const int error = errno;
      ::flock(layer_.lock_, LOCK_UN);
      errno = error;
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Layer& layer_;
    std::lock_guard<std::mutex> lock_;
  };

  explicit Layer(std::string state);
  static Layer* make() {
    const char* state = std::getenv("POSTRIDER_FAULTS");
    return state == nullptr ? nullptr : new Layer(state);
  }
  std::optional<std::string> inside(const char* path) const;
  bool may(const char* operation, const std::string& path);
  void after(const char* operation, const std::string& path);
  void happened(const Rule& rule, const char* operation, const std::string& path);
  void end_process();
  static void forget(File* known);
  int journal(const char* kind, const char* path, bool forget);
  void note_name(const std::string& path, char what, const std::string& saved = {});
  std::string save(const std::string& path);
  bool keep_old(const File& file, int descriptor, off_t at, size_t size);

  std::string state_, folder_, program_;
  int lock_ = -1, events_ = -1;
  Control* control_ = nullptr;
  Rules rules_;
  uint64_t generation_ = 0;
  uint64_t saved_ = 0;
  std::mutex mutex_;
  std::unique_ptr<std::atomic<File*>[]> known_ = std::make_unique<std::atomic<File*>[]>(kMaxFiles);
};

/// Opens a file of the layer's own, which must work where the program has no descriptor left.
int open_own(const std::string& path, int flags) {
  int file = real().open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (file >= 0 || errno != EMFILE) return file;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &raised);
  file = real().open(path.c_str(), flags | O_CLOEXEC, 0666);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return file;
}

[[noreturn]] void give_up(const std::string& what) {
  const std::string line = "faults: " + what + ": " + std::strerror(errno) + "\n";
  if (real().write(2, line.data(), line.size()) < 0) std::abort();
  std::abort();
}

Layer::Layer(std::string state) : state_(std::move(state)), folder_(state_ + "/.faults") {
  lock_ = real().open((folder_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  events_ = real().open((folder_ + "/events").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const int control = real().open((folder_ + "/control").c_str(), O_RDONLY | O_CLOEXEC);
  void* memory = control < 0 ? MAP_FAILED : ::mmap(nullptr, sizeof(Control), PROT_READ, MAP_SHARED, control, 0);
  if (lock_ < 0 || events_ < 0 || memory == MAP_FAILED) give_up(folder_);
  real().close(control);
  control_ = static_cast<Control*>(memory);
  std::array<char, 32> name{};
  const int comm = real().open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
  const ssize_t got = comm < 0 ? 0 : ::read(comm, name.data(), name.size() - 1);
  real().close(comm);
  program_.assign(name.data(), got > 0 ? static_cast<size_t>(got) - 1 : 0);
}

/// The path within the state folder of what is watched.
std::optional<std::string> Layer::inside(const char* path) const {
  std::string_view text(path);
  if (text == state_) return std::string();
  if (!text.starts_with(state_ + "/")) return std::nullopt;
  text.remove_prefix(state_.size() + 1);
  if (text.starts_with(".faults") || text.starts_with("run") || text.ends_with("-shm") || text.ends_with(".lock"))
    return std::nullopt;
  return std::string(text);
}

// --- what is to fail

/// False: the call fails, with errno. May not return at all.
bool Layer::may(const char* operation, const std::string& path) {
  const uint64_t generation = control_->generation.load();
  if (generation != generation_) {
    generation_ = generation;
    rules_ = Rules(std::string_view(control_->rules, ::strnlen(control_->rules, sizeof control_->rules)));
  }
  const Rule* rule = rules_.next(program_, operation, path, true);
  if (rule == nullptr) return true;
  happened(*rule, operation, path);
  if (rule->action == "kill") end_process();
  errno = rule->error;
  return false;
}

void Layer::after(const char* operation, const std::string& path) {
  const int error = errno;
  if (const Rule* rule = rules_.next(program_, operation, path, false)) {
    happened(*rule, operation, path);
    end_process();
  }
  errno = error;
}

void Layer::happened(const Rule& rule, const char* operation, const std::string& path) {
  const std::string line = program_ + " " + rule.action + " " + operation + " " + path + "\n";
  if (real().write(events_, line.data(), line.size()) < 0) give_up("events");
}

void Layer::end_process() {
  ::syscall(SYS_kill, ::getpid(), SIGKILL);
  for (;;) ::pause();
}

// --- what can be taken back

int Layer::journal(const char* kind, const char* path, bool forget) {
  struct stat facts {};
  if (::stat(path, &facts) != 0) return -1;
  const std::string name = folder_ + "/" + kind + "/" + std::to_string(facts.st_ino);
  return open_own(name, O_RDWR | O_CREAT | O_APPEND | (forget ? O_TRUNC : 0));
}

/// C: the name was made; M: it is a folder; R: it was taken away, and saved.
void Layer::note_name(const std::string& path, char what, const std::string& saved) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? state_ : state_ + "/" + path.substr(0, slash);
  const std::string line = std::string(1, what) + "\t" + path.substr(slash + 1) + "\t" + saved + "\n";
  const int file = journal("names", parent.c_str(), false);
  if (file < 0 || real().write(file, line.data(), line.size()) < 0) give_up(parent);
  real().close(file);
}

std::string Layer::save(const std::string& path) {
  std::string name = std::to_string(::getpid()) + "-" + std::to_string(++saved_) + "-" + std::to_string(::random());
  if (real().link((state_ + "/" + path).c_str(), (folder_ + "/saved/" + name).c_str()) != 0) return {};
  return name;
}

/// Only what is open for writing alone is opened once more: closing a file gives up the locks that a process has on it.
bool read_old(int descriptor, char* to, size_t size, off_t at) {
  if ((::fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDWR)
    return ::pread(descriptor, to, size, at) == static_cast<ssize_t>(size);
  const int reader = open_own("/proc/self/fd/" + std::to_string(descriptor), O_RDONLY);
  const bool whole = reader >= 0 && ::pread(reader, to, size, at) == static_cast<ssize_t>(size);
  if (reader >= 0) real().close(reader);
  return whole;
}

/// One record: offset, length, and size of the file before, as 64-bit numbers, and the octets that were there.
bool Layer::keep_old(const File& file, int descriptor, off_t at, size_t size) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) return false;
  do {
    const size_t piece = std::min(size, kMaxUndone);
    const off_t end = std::min<off_t>(at + static_cast<off_t>(piece), facts.st_size);
    const auto old = static_cast<size_t>(std::max<off_t>(0, end - at));
    std::string record(24 + old, '\0');
    const std::array<uint64_t, 3> head = {static_cast<uint64_t>(at), old, static_cast<uint64_t>(facts.st_size)};
    std::memcpy(record.data(), head.data(), sizeof head);
    if (old != 0 && !read_old(descriptor, record.data() + 24, old, at)) return false;
    if (real().write(file.undo, record.data(), record.size()) != static_cast<ssize_t>(record.size())) give_up("undo");
    at += static_cast<off_t>(piece);
    size -= piece;
  } while (size > 0);
  return true;
}

// --- the calls

int Layer::open(int at, const char* path, int flags, mode_t mode) {
  const auto within = inside(path);
  if (!within) return real().openat(at, replaced(path).c_str(), flags, mode);
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
  const Guard guard(*this);
  struct stat facts {};
  const bool is_new = ::stat(path, &facts) != 0;
  const bool folder = !is_new && S_ISDIR(facts.st_mode);
  if (!writes && !folder) return real().openat(at, path, flags, mode);
  if (writes && !may("open", *within)) return -1;
  const int file = real().openat(at, path, flags & ~O_TRUNC, mode);
  if (file < 0 || static_cast<size_t>(file) >= kMaxFiles) return file;
  auto known = std::make_unique<File>();
  known->path = *within;
  known->is_folder = folder;
  if (::fstat(file, &facts) == 0) known->inode = facts.st_ino;
  if (!folder) {
    known->undo = journal("undo", path, is_new);
    if (known->undo < 0) give_up(path);
    if (is_new) note_name(*within, 'C');
  }
  if ((flags & O_TRUNC) != 0 && ::fstat(file, &facts) == 0 && facts.st_size > 0) {
    keep_old(*known, file, 0, static_cast<size_t>(facts.st_size));
    if (real().ftruncate(file, 0) != 0) give_up(path);
  }
  forget(known_[static_cast<size_t>(file)].exchange(known.release()));
  after("open", *within);
  return file;
}

void Layer::close(int file) {
  const Guard guard(*this);
  forget(known_[static_cast<size_t>(file)].exchange(nullptr));
}

void Layer::forget(File* known) {
  if (known != nullptr && known->undo >= 0) real().close(known->undo);
  delete known;
}

/// at: -1 where the file's own place counts.
ssize_t Layer::write(int file, const void* bytes, size_t size, off_t at) {
  const Guard guard(*this);
  const File& known = *known_[static_cast<size_t>(file)].load();
  if (!may("write", known.path)) return -1;
  off_t place = at;
  if (at < 0) {
    struct stat facts {};
    const bool appends = (::fcntl(file, F_GETFL) & O_APPEND) != 0;
    place = appends && ::fstat(file, &facts) == 0 ? facts.st_size : ::lseek(file, 0, SEEK_CUR);
  }
  if (!keep_old(known, file, place, size)) give_up(known.path);
  const ssize_t written = at < 0 ? real().write(file, bytes, size) : real().pwrite(file, bytes, size, at);
  after("write", known.path);
  return written;
}

int Layer::ftruncate(int file, off_t size) {
  const Guard guard(*this);
  const File& known = *known_[static_cast<size_t>(file)].load();
  if (!may("truncate", known.path)) return -1;
  struct stat facts {};
  if (::fstat(file, &facts) != 0) return -1;
  if (!keep_old(known, file, size, static_cast<size_t>(std::max<off_t>(0, facts.st_size - size)))) give_up(known.path);
  const int code = real().ftruncate(file, size);
  after("truncate", known.path);
  return code;
}

int Layer::flush(int file) {
  const Guard guard(*this);
  const File& known = *known_[static_cast<size_t>(file)].load();
  if (!may("flush", known.path)) return errno == 0 ? 0 : -1;
  if (!known.is_folder) {
    if (real().ftruncate(known.undo, 0) != 0) give_up(known.path);
  } else {
    const int names =
        journal("names", known.path.empty() ? state_.c_str() : (state_ + "/" + known.path).c_str(), false);
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; names >= 0 && (got = ::read(names, piece.data(), piece.size())) > 0;)
      text.append(piece.data(), static_cast<size_t>(got));
    for (const std::string& saved : saved_names(text)) real().unlink((folder_ + "/saved/" + saved).c_str());
    if (names < 0 || real().ftruncate(names, 0) != 0) give_up(known.path);
    real().close(names);
  }
  after("flush", known.path);
  return 0;
}

int Layer::rename(const char* from, const char* to) {
  const auto source = inside(from), target = inside(to);
  if (!source || !target) return real().rename(from, to);
  const Guard guard(*this);
  if (!may("rename", *target)) return -1;
  const std::string replaced = save(*target), moved = save(*source);
  const int code = real().rename(from, to);
  if (code == 0) {
    if (!replaced.empty()) note_name(*target, 'R', replaced);
    note_name(*target, 'C');
    note_name(*source, 'R', moved);
  }
  after("rename", *target);
  return code;
}

int Layer::unlink(const char* path, int (*call)(const char*)) {
  const auto within = inside(path);
  if (!within) return call(path);
  const Guard guard(*this);
  if (!may("unlink", *within)) return -1;
  const std::string saved = save(*within);
  const int code = call(path);
  if (code == 0 && !saved.empty()) note_name(*within, 'R', saved);
  after("unlink", *within);
  return code;
}

int Layer::link(const char* from, const char* to) {
  const auto within = inside(to);
  if (!within) return real().link(from, to);
  const Guard guard(*this);
  if (!may("link", *within)) return -1;
  const int code = real().link(from, to);
  if (code == 0) note_name(*within, 'C');
  after("link", *within);
  return code;
}

int Layer::mkdir(const char* path, mode_t mode) {
  const auto within = inside(path);
  if (!within || within->empty()) return real().mkdir(path, mode);
  const Guard guard(*this);
  if (!may("mkdir", *within)) return -1;
  const int code = real().mkdir(path, mode);
  if (code == 0) note_name(*within, 'M');
  return code;
}

int Layer::fallocate(int file, off_t offset, off_t size) {
  const Guard guard(*this);
  return may("write", "(allocate)") ? real().fallocate(file, offset, size) : errno;
}

}  // namespace
}  // namespace faults

using faults::Layer;
using faults::real;

// NOLINTBEGIN: the C library's names
extern "C" {

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

#define POSTRIDER_OPEN(name)                                                                             \
  int name(const char* path, int flags, ...) {                                                           \
    va_list arguments;                                                                                   \
    va_start(arguments, flags);                                                                          \
    const mode_t mode = mode_of(flags, arguments);                                                       \
    va_end(arguments);                                                                                   \
    Layer* layer = Layer::get();                                                                         \
    return layer != nullptr ? layer->open(AT_FDCWD, path, flags, mode) : real().open(path, flags, mode); \
  }
#define POSTRIDER_OPENAT(name)                                                                           \
  int name(int at, const char* path, int flags, ...) {                                                   \
    va_list arguments;                                                                                   \
    va_start(arguments, flags);                                                                          \
    const mode_t mode = mode_of(flags, arguments);                                                       \
    va_end(arguments);                                                                                   \
    Layer* layer = Layer::get();                                                                         \
    return layer != nullptr ? layer->open(at, path, flags, mode) : real().openat(at, path, flags, mode); \
  }
POSTRIDER_OPEN(open)
POSTRIDER_OPEN(open64)
POSTRIDER_OPENAT(openat)
POSTRIDER_OPENAT(openat64)

int close(int file) {
  Layer* layer = Layer::get();
  if (layer != nullptr && layer->watches(file)) layer->close(file);
  return real().close(file);
}

ssize_t write(int file, const void* bytes, size_t size) {
  Layer* layer = Layer::get();
  return layer != nullptr && layer->watches(file) ? layer->write(file, bytes, size, -1)
                                                  : real().write(file, bytes, size);
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
  Layer* layer = Layer::get();
  return layer != nullptr && layer->watches(file) ? layer->write(file, bytes, size, at)
                                                  : real().pwrite(file, bytes, size, at);
}
ssize_t pwrite64(int file, const void* bytes, size_t size, off_t at) {
  return pwrite(file, bytes, size, at);
}
int ftruncate(int file, off_t size) noexcept {
  Layer* layer = Layer::get();
  return layer != nullptr && layer->watches(file) ? layer->ftruncate(file, size) : real().ftruncate(file, size);
}
int ftruncate64(int file, off_t size) noexcept {
  return ftruncate(file, size);
}
int fsync(int file) {
  Layer* layer = Layer::get();
  return layer != nullptr && layer->watches(file) ? layer->flush(file) : real().fsync(file);
}
int fdatasync(int file) {
  Layer* layer = Layer::get();
  return layer != nullptr && layer->watches(file) ? layer->flush(file) : real().fdatasync(file);
}
int rename(const char* from, const char* to) noexcept {
  Layer* layer = Layer::get();
  return layer != nullptr ? layer->rename(from, to) : real().rename(from, to);
}
int unlink(const char* path) noexcept {
  Layer* layer = Layer::get();
  return layer != nullptr ? layer->unlink(path, real().unlink) : real().unlink(path);
}
int remove(const char* path) noexcept {
  Layer* layer = Layer::get();
  return layer != nullptr ? layer->unlink(path, real().remove) : real().remove(path);
}
int link(const char* from, const char* to) noexcept {
  Layer* layer = Layer::get();
  return layer != nullptr ? layer->link(from, to) : real().link(from, to);
}
int mkdir(const char* path, mode_t mode) noexcept {
  Layer* layer = Layer::get();
  return layer != nullptr ? layer->mkdir(path, mode) : real().mkdir(path, mode);
}
int posix_fallocate(int file, off_t offset, off_t size) {
  Layer* layer = Layer::get();
  return layer != nullptr ? layer->fallocate(file, offset, size) : real().fallocate(file, offset, size);
}
int posix_fallocate64(int file, off_t offset, off_t size) {
  return posix_fallocate(file, offset, size);
}
std::FILE* fopen(const char* path, const char* mode) {
  Layer* layer = Layer::get();
  return real().fopen(layer != nullptr ? layer->replaced(path).c_str() : path, mode);
}
std::FILE* fopen64(const char* path, const char* mode) {
  return fopen(path, mode);
}

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  // A sanitizer asks for the time before anything can be looked up.
  const auto code = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  Layer* layer = Layer::get();
  if (code == 0 && layer != nullptr && clock == CLOCK_REALTIME) time->tv_sec += layer->clock_offset();
  return code;
}
int gettimeofday(timeval* time, void* zone) noexcept {
  timespec now{};
  const int code = clock_gettime(CLOCK_REALTIME, &now);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  if (zone != nullptr) std::memset(zone, 0, sizeof(struct timezone));
  return code;
}
time_t time(time_t* into) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (into != nullptr) *into = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
// NOLINTEND
