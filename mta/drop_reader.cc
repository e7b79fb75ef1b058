#include "mta/drop_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>
#include <system_error>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/mail/header.h"
#include "mta/filter_changes.h"
#include "mta/forwarding.h"
#include "mta/metrics.h"

namespace postrider {
namespace {

constexpr int kTroublePause = 10'000;         // milliseconds until what could not be taken is tried again
constexpr std::chrono::hours kAbandoned{24};  // a file that was begun so long ago is never finished
constexpr size_t kPiece = 64 << 10;           // octets read at once
constexpr size_t kMaxMessageId = 250;         // octets of one that is remembered
constexpr size_t kMaxHead = 64 << 10;         // octets of a header that are looked at

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string read_piece(int file, uint64_t offset, size_t size) {
  std::string piece(size, '\0');
  ssize_t got = ::pread(file, piece.data(), size, static_cast<off_t>(offset));
  if (got < 0) throw std::system_error(errno, std::generic_category(), "A dropped file cannot be read");
  piece.resize(static_cast<size_t>(got));
  return piece;
}

/// It is taken for all, and comes back to its sender.
void bounce(store::QueuedMessage& message, const char* reply) {
  for (store::QueuedRecipient& recipient : message.recipients) {
    recipient.wish = store::Wish::bounce;
    recipient.last_reply = reply;
  }
}

}  // namespace

std::string system_user_name(uint32_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16 << 10> buffer{};
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return found->pw_name;
}

DropReader::DropReader(Options options, store::DirectoryService& directory, Acceptor& acceptor, Accept accept,
                       const Clock& clock, UserName user_name)
    : folder_(options.folder),
      directory_(directory),
      acceptor_(acceptor),
      accept_(std::move(accept)),
      clock_(clock),
      user_name_(std::move(user_name)),
      options_(std::move(options)) {
  if (std::filesystem::create_directories(folder_)) ::chmod(folder_.c_str(), 02770);
  watch_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  stop_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (watch_ < 0 || stop_ < 0 || ::inotify_add_watch(watch_, folder_.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
    int error = errno;
    ::close(watch_);
    ::close(stop_);
    throw std::system_error(error, std::generic_category(), folder_ + " cannot be watched");
  }
}

DropReader::~DropReader() {
  stop();
  ::close(watch_);
  ::close(stop_);
}

void DropReader::start() {
  thread_ = std::thread([this] { run(); });
}

void DropReader::stop() {
  if (!thread_.joinable()) return;
  filters_.stop();
  const uint64_t one = 1;
  if (::write(stop_, &one, sizeof one) < 0) log_error("drop_reader", {{"reason", std::strerror(errno)}});
  thread_.join();
}

void DropReader::configure(Options options) {
  std::lock_guard lock(mutex_);
  options_ = std::move(options);
}

DropReader::Options DropReader::current() const {
  std::lock_guard lock(mutex_);
  return options_;
}

void DropReader::run() {
  for (;;) {
    int pause = kTroublePause;
    try {
      pause = take_all();
    } catch (const std::exception& error) {
      log_error("drop_reader", {{"reason", error.what()}});
    }
    std::array<pollfd, 2> waited{{{watch_, POLLIN, 0}, {stop_, POLLIN, 0}}};
    ::poll(waited.data(), waited.size(), pause);
    if (waited[1].revents != 0) return;
    // What happened is of no interest: the folder says what is there.
    std::array<char, 4'096> events;
    while (::read(watch_, events.data(), events.size()) > 0) {
    }
  }
}

/// How long to wait before the next look, in milliseconds; -1: until there is something new.
int DropReader::take_all() {
  int pause = -1;
  std::vector<std::pair<std::filesystem::file_time_type, std::string>> files;
  std::error_code ignored;  // a file may go while we look
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    std::string name = entry.path().filename().string();
    auto time = entry.last_write_time(ignored);
    if (name.starts_with(".tmp.") && time < std::filesystem::file_time_type::clock::now() - kAbandoned) {
      std::filesystem::remove(entry.path(), ignored);
    }
    if (name.starts_with('.')) continue;
    files.emplace_back(time, std::move(name));
    if (files.size() < kMaxDropsAtOnce) continue;
    pause = 0;
    break;
  }
  std::sort(files.begin(), files.end());
  for (const auto& [time, name] : files) {
    pollfd stopped{stop_, POLLIN, 0};
    if (::poll(&stopped, 1, 0) > 0) return pause;
    if (take(name) == Taken::later) pause = kTroublePause;
  }
  return pause;
}

void DropReader::set_aside(const std::string& name, const std::string& reason) {
  log_error("drop_set_aside", {{"file", folder_ + "/.bad-" + name}, {"reason", reason}});
  std::error_code error;
  std::filesystem::rename(folder_ + "/" + name, folder_ + "/.bad-" + name, error);
  if (error) log_error("drop_set_aside", {{"file", name}, {"reason", error.message()}});
}

/// What the system says of a file.
struct DropReader::Left {
  uint32_t uid = 0;
  uint64_t size = 0;  // octets
  UnixTime time = 0;  // when it was written
};

DropReader::Taken DropReader::take(const std::string& name) {
  File file(::openat(AT_FDCWD, (folder_ + "/" + name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat facts {};
  if (file.get() < 0 && errno == ENOENT) return Taken::yes;
  if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) {
    set_aside(name, std::strerror(errno));
    return Taken::yes;
  }
  auto size = static_cast<uint64_t>(facts.st_size);
  if (!S_ISREG(facts.st_mode) || size > current().max_message_size + kMaxDropEnvelope) {
    set_aside(name, S_ISREG(facts.st_mode) ? "it is larger than smtp.max_message_size" : "it is no file");
    return Taken::yes;
  }
  try {
    return hand_in(name, file.get(), {facts.st_uid, size, facts.st_mtim.tv_sec});
  } catch (const std::exception& error) {
    log_error("drop_reader", {{"file", name}, {"reason", error.what()}});
    return Taken::later;
  }
}

DropReader::Taken DropReader::hand_in(const std::string& name, int file, const Left& left) {
  const auto [uid, size, time] = left;
  auto head = parse_drop_envelope(read_piece(file, 0, kMaxDropEnvelope));
  if (!head) {
    set_aside(name, head.error().message);
    return Taken::yes;
  }
  Options options = current();
  store::QueuedMessage message = message_of(*head, uid, options);
  std::string begin = read_piece(file, head->size, kMaxHead);
  const auto header = std::string_view(begin).substr(0, header_block_size(begin));
  DropFields fields = drop_fields(header, options.system.hostname, uid, store::queue_id_text(message.id),
                                  message.reverse_path, head->envelope.full_name, message.accepted);
  if (fields.message_id.size() <= kMaxMessageId) message.message_id = fields.message_id;
  auto body = std::make_shared<store::Spool>(acceptor_.spool_directory());
  body->append(fields.received + fields.text);
  LineEndNormalizer normalizer;
  for (uint64_t offset = head->size; offset < size;) {
    std::string piece = read_piece(file, offset, kPiece);
    if (piece.empty()) break;
    offset += piece.size();
    std::string lines;
    normalizer.feed(piece, lines);
    if (offset >= size) normalizer.finish(lines);
    message.eight_bit = message.eight_bit || has_8bit(lines);
    body->append(lines);
  }
  if (options.filters != nullptr) {
    std::string shown = fields.text;
    LineEndNormalizer head_lines;
    head_lines.feed(header.substr(0, fields.head), shown);
    head_lines.finish(shown);
    if (fields.head == kMaxHead) {
      bounce(message, "552 5.3.4 The header is too large to be looked at by the filters here");
    } else if (!filter(options, shown, message, body, fields.received.size())) {
      log_info("drop_filtered", {{"file", name}, {"reason", "the filters say that they cannot say now"}});
      if (clock_.unix_time() < time + options.lifetime.count()) return Taken::later;
      bounce(message, "554 5.4.7 The filters here could not look at it for too long");
    }
  }
  stop_circles(header, message.recipients);
  message.smtputf8 = has_8bit(message.reverse_path) ||
                     std::any_of(message.recipients.begin(), message.recipients.end(),
                                 [](const store::QueuedRecipient& one) { return has_8bit(one.address); });
  body->sync();
  message.body = std::move(body);
  log_info("dropped", {{"msg", store::queue_id_text(message.id)},
                       {"uid", uid},
                       {"from", message.reverse_path},
                       {"recipients", message.recipients.size()},
                       {"size", size},
                       {"checks", message.checks}});
  return enqueue(name, std::move(message));
}

DropReader::Taken DropReader::enqueue(const std::string& name, store::QueuedMessage message) {
  auto answer = std::make_shared<std::promise<Acceptance>>();
  auto answered = answer->get_future();
  accept_(std::move(message), [answer](Acceptance acceptance) { answer->set_value(std::move(acceptance)); });
  Acceptance acceptance = answered.get();
  if (!acceptance) {
    log_warn("drop_not_accepted", {{"file", name}, {"reason", acceptance.error().detail}});
    return Taken::later;
  }
  counted::messages_accepted[counted::kFromMachine].add();
  std::filesystem::remove(folder_ + "/" + name);
  return Taken::yes;
}

/// head: what filters are shown of it; it stands in body behind our Received, which has so many octets. False: they are
/// to be asked again later.
bool DropReader::filter(const Options& options, const std::string& head, store::QueuedMessage& message,
                        std::shared_ptr<store::Spool>& body, uint64_t received) {
  MilterMessage shown(head, body, received + head.size());
  const auto verdict = filters_.ask(*options.filters, options.system.hostname, message, shown);
  if (verdict.later) return false;
  change(options, shown, verdict.discard, message);
  if (!shown.head.changed() && !shown.body_changed) return true;
  std::string buffer;
  const std::string text = std::string(body->read_at(0, buffer).substr(0, received)) + shown.head.text();
  auto fresh = std::make_shared<store::Spool>(acceptor_.spool_directory());
  fresh->append(text);
  message.eight_bit = has_8bit(text);
  for (uint64_t offset = shown.body_offset; offset < shown.body->size();) {
    const std::string_view piece = shown.body->read_at(offset, buffer);
    fresh->append(piece);
    message.eight_bit = message.eight_bit || has_8bit(piece);
    offset += piece.size();
  }
  body = std::move(fresh);
  return true;
}

void DropReader::change(const Options& options, const MilterMessage& changed, bool discard,
                        store::QueuedMessage& message) {
  const std::string id = store::queue_id_text(message.id);
  FilterNotes notes = notes_of(changed);
  message.junk = notes.junk;
  message.checks = trim(notes.checks);
  if (!change_sender(changed, message.reverse_path)) {
    log_warn("milter_change_ignored", {{"msg", id}, {"sender", *changed.sender}});
  }
  auto& recipients = message.recipients;
  const auto before = recipients;
  remove_recipients(recipients, changed.removed, [](const store::QueuedRecipient&) {});
  for (const std::string& address : changed.added) {
    DropEnvelope one;
    one.recipients.push_back(address);
    for (store::QueuedRecipient& added : recipients_of(one, options, message.expanded)) {
      const bool known = std::any_of(recipients.begin(), recipients.end(), [&](const store::QueuedRecipient& other) {
        return other.account == added.account && (added.account != 0 || other.address == added.address);
      });
      if (added.wish == store::Wish::bounce) {
        log_warn("milter_change_ignored", {{"msg", id}, {"recipient", address}, {"reason", added.last_reply}});
      } else if (!known) {
        recipients.push_back(std::move(added));
      }
    }
  }
  if (recipients.empty()) recipients = before, discard = true;  // nobody is left: it is taken for those, and removed
  for (size_t i = 0; i < recipients.size(); ++i) recipients[i].number = static_cast<int64_t>(i) + 1;
  mark_recipients(recipients, discard, notes.held);
}

bool DropReader::is_trusted(uint32_t uid, const std::string& user, const Options& options) const {
  if (uid == 0 || uid == ::geteuid()) return true;
  return std::find(options.trusted_users.begin(), options.trusted_users.end(), user) != options.trusted_users.end();
}

store::QueuedMessage DropReader::message_of(const DropHead& head, uint32_t uid, const Options& options) {
  const DropEnvelope& envelope = head.envelope;
  std::string user = user_name_(uid);
  if (user.empty()) user = fmt::format("uid{}", uid);
  store::QueuedMessage message;
  message.id = acceptor_.next_id();
  message.accepted = clock_.unix_time();
  message.client = fmt::format("uid {} ({})", uid, user);
  // The owner of the file cannot know other users' keys, nor take them.
  message.drop = fmt::format("{}.{}", uid, envelope.key);
  message.reverse_path = drop_sender(envelope, user, is_trusted(uid, user, options), options.system.hostname);
  message.envid = envelope.envid;
  message.ret = envelope.ret;
  message.recipients = recipients_of(envelope, options, message.expanded);
  return message;
}

std::vector<store::QueuedRecipient> DropReader::recipients_of(const DropEnvelope& envelope, const Options& options,
                                                              std::vector<store::QueuedRecipient>& expanded) {
  std::vector<store::QueuedRecipient> recipients;
  std::vector<std::string> known;
  uint8_t notify = envelope.notify.empty() ? uint8_t{store::kNotifyDefault}
                                           : parse_notify(envelope.notify).value_or(store::kNotifyDefault);
  auto add = [&](store::QueuedRecipient recipient, store::AccountId account, std::string address) {
    std::string key = account != 0 ? fmt::to_string(account) : address;
    if (std::find(known.begin(), known.end(), key) != known.end()) return;
    known.push_back(std::move(key));
    recipient.number = static_cast<int64_t>(recipients.size()) + 1;
    recipient.account = account;
    recipient.address = std::move(address);
    recipient.next_attempt = clock_.unix_time();
    recipients.push_back(std::move(recipient));
  };
  for (const std::string& text : envelope.recipients) {
    store::QueuedRecipient given;
    given.notify = notify;
    auto parsed = parse_mailbox(text, Utf8::allowed);
    bool bare = !parsed && text.find('@') == std::string::npos;
    Address address = parsed ? *parsed : Address{text, options.system.hostname};
    given.original = bare || parsed ? address.to_string() : text;
    // What cannot go anywhere is accepted all the same and comes back as a report: the program that sent it is gone.
    auto refuse = [&](const char* reply) {
      given.wish = store::Wish::bounce;
      given.last_reply = reply;
      add(given, 0, given.original);
    };
    if (!parsed && !bare) {
      refuse("553 5.1.3 That is no mail address");
      continue;
    }
    store::Resolution resolution =
        directory_.with([&](store::Directory& directory) { return options.system.resolve(directory, address); });
    if (resolution.kind == store::RecipientKind::foreign_domain) {
      if (auto domain = normalize_domain(address.domain)) address.domain = *domain;
      add(given, 0, address.to_string());
      continue;
    }
    if (resolution.targets.empty()) {
      refuse("550 5.1.1 There is no such user here");
      continue;
    }
    if (resolution.targets.size() > 1 && (notify & store::kNotifySuccess) != 0) {
      expanded.push_back(given);
      given.notify &= static_cast<uint8_t>(~store::kNotifySuccess);
      if (given.notify == store::kNotifyDefault) given.notify = store::kNotifyNever;
    }
    for (store::Target& target : resolution.targets) add(given, target.account, std::move(target.address));
  }
  return recipients;
}

}  // namespace postrider
