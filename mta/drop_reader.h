// Takes what the sendmail command leaves in STATE/drop, while mta ran or did not: a thread that sleeps until the kernel
// says that a file is there.
//
// A file is removed after the flushed commit of its message; one that is seen again after a crash is known by its key
// and not taken twice. One that cannot be read for what it is is set aside (".bad-NAME"), and the log says why.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/mail/drop_file.h"
#include "mta/acceptor.h"
#include "mta/drop_filters.h"
#include "mta/system_mail.h"
#include "store/directory_service.h"
#include "store/queue.h"

namespace postrider {

constexpr size_t kMaxDropsAtOnce = 1'000;  // files that are looked at in one go

class DropReader {
 public:
  struct Options {
    std::string folder;                         // STATE/drop; made where it is missing
    uint64_t max_message_size = 50 << 20;       // octets
    std::vector<std::string> trusted_users;     // may name any sender; root and the daemon's own user may always
    std::chrono::seconds lifetime{5 * 86'400};  // how long a file waits for filters that cannot say now
    SystemMail system;
    std::shared_ptr<const DropFilterSettings> filters;  // null: there are none
  };
  /// Hands a message to the queue; complete is called from another thread.
  using Accept = std::function<void(store::QueuedMessage, std::function<void(Acceptance)>)>;
  /// A user's name by number; empty where there is none.
  using UserName = std::function<std::string(uint32_t uid)>;

  /// acceptor: for ids and the spool folder. Throws std::system_error where the folder cannot be watched.
  DropReader(Options options, store::DirectoryService& directory, Acceptor& acceptor, Accept accept, const Clock& clock,
             UserName user_name);
  ~DropReader();
  DropReader(const DropReader&) = delete;
  DropReader& operator=(const DropReader&) = delete;

  void start();
  /// Finishes the file that it is at, unless filters are at it.
  void stop();
  /// For files that are read from now on; the folder stays.
  void configure(Options options);

 private:
  enum class Taken { yes, later };
  void run();
  int take_all();
  Taken take(const std::string& name);
  struct Left;
  Taken hand_in(const std::string& name, int file, const Left& left);
  Taken enqueue(const std::string& name, store::QueuedMessage message);
  bool filter(const Options& options, const std::string& head, store::QueuedMessage& message,
              std::shared_ptr<store::Spool>& body, uint64_t received);
  void change(const Options& options, const MilterMessage& changed, bool discard, store::QueuedMessage& message);
  store::QueuedMessage message_of(const DropHead& head, uint32_t uid, const Options& options);
  std::vector<store::QueuedRecipient> recipients_of(const DropEnvelope& envelope, const Options& options,
                                                    std::vector<store::QueuedRecipient>& expanded);
  bool is_trusted(uint32_t uid, const std::string& user, const Options& options) const;
  void set_aside(const std::string& name, const std::string& reason);
  Options current() const;

  const std::string folder_;
  store::DirectoryService& directory_;
  Acceptor& acceptor_;
  const Accept accept_;
  const Clock& clock_;
  const UserName user_name_;
  DropFilters filters_;
  mutable std::mutex mutex_;
  Options options_;
  int watch_ = -1;  // inotify
  int stop_ = -1;   // eventfd
  std::thread thread_;
};

/// Asks the system. May block.
std::string system_user_name(uint32_t uid);

/// Where reports about it go: what the user named, where he may, else USER@hostname; empty: nowhere.
std::string drop_sender(const DropEnvelope& envelope, const std::string& user, bool trusted,
                        const std::string& hostname);

/// Our fields for a message from a user of this machine: Received, and what its head lacks of Date, Message-ID and
/// From. An empty line after them where the message has no header at all. sender: empty for the null reverse-path.
struct DropFields {
  std::string received;
  std::string text;  // what goes behind it
  std::string message_id;
  size_t head = 0;  // octets of the head that are one
};
DropFields drop_fields(std::string_view head, const std::string& hostname, uint32_t uid, const std::string& id,
                       const std::string& sender, const std::string& full_name, UnixTime now);

}  // namespace postrider
