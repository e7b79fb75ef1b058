// Where imports end, whatever they read: messages into an account, in transactions of many, each under a key that keeps
// it from entering twice.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/hint.h"
#include "mailctl/context.h"
#include "store/account.h"
#include "store/delivered.h"
#include "store/message_source.h"

namespace postrider::mailctl {

constexpr size_t kMaxBatchMessages = 500;          // in one transaction
constexpr uint64_t kMaxBatchOctets = 16ULL << 20;  // after which a transaction ends
constexpr size_t kMaxTold = 100;                   // messages passed over that are told one by one
constexpr size_t kTransferPiece = 256 << 10;       // octets of a message in memory

/// Folds what names a message into a key for Edit::append: never 0, never the id of a message of the queue.
class TransferKey {
 public:
  TransferKey();
  ~TransferKey();
  TransferKey(const TransferKey&) = delete;
  TransferKey& operator=(const TransferKey&) = delete;
  /// A part, divided from the next.
  TransferKey& part(std::string_view text);
  /// More of one part.
  void add(std::string_view piece);
  int64_t value();

 private:
  struct Digest;
  std::unique_ptr<Digest> digest_;
};

struct Incoming {
  explicit Incoming(store::Spool spool) : text(std::move(spool)) {}
  store::Spool text;  // with CRLF
  std::string folder;
  std::string place;  // for people: where it came from
  int64_t key = 0;
  uint64_t flags = 0;  // store::Flags' system bits
  std::vector<std::string> keywords;
  UnixTime date = 0;
};

class Importer {
 public:
  /// only: the one folder that is wanted; into: the folder that everything goes below. Either may be empty.
  Importer(Context& context, const store::AccountInfo& account, std::string only, std::string into);
  ~Importer();

  /// Where a folder of the source goes; nothing: it is not wanted.
  std::optional<std::string> target(const std::string& mailbox) const;
  /// Ours of that special use (RFC 6154), where there is one.
  std::optional<std::string> folder_for_use(std::string_view use);
  /// Makes a folder, empty or not. special_use: it gets that use when it is made. False: it cannot be made, which was
  /// told.
  bool add_folder(const std::string& name, bool subscribed);

  store::Spool spool() const { return store::Spool(spool_directory_); }
  /// Whether it is there already; counted, when it is.
  bool has(int64_t key);
  void add(Incoming message);
  void pass_over(const std::string& place, const std::string& reason);
  /// Tells something that did not keep a message out; once each.
  void note(const std::string& sentence);

  /// Ends the last transaction.
  void commit();
  /// Says what came of it. Throws CommandFailed where something was passed over, or the source ended early: why.
  void finish(const std::string& why = {});

 private:
  struct Ready;
  void append(store::Edit& edit, Ready& message);
  uint64_t keyword_bits(store::Edit& edit, const std::vector<std::string>& names);
  void show_progress(const std::string& folder);

  Context& context_;
  store::AccountInfo info_;
  std::string only_, into_, spool_directory_;
  store::Accounts::Lease account_;
  store::Delivered delivered_;
  net::HintSender hints_;
  std::vector<Ready> batch_;
  uint64_t batch_octets_ = 0;
  uint64_t imported_ = 0, present_ = 0, passed_over_ = 0;
  Json told_ = Json::array();
  std::vector<std::string> notes_;
  std::map<std::string, uint64_t> keywords_;  // bits by name, within one edit; 0: there is no room
};

}  // namespace postrider::mailctl
