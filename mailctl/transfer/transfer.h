// What `mailctl export` and `mailctl import` are asked for, and their ways.
#pragma once

#include <functional>
#include <string>

#include "mailctl/context.h"
#include "mailctl/transfer/importer.h"
#include "store/account.h"

namespace postrider::mailctl {

struct TransferOptions {
  std::string address, folder, into;
  std::string maildir, mbox;  // a path
  // Of a server:
  std::string imap, user;
  bool password_stdin = false, starttls = false, no_tls = false, insecure = false;
};

/// One message of an export.
struct Outgoing {
  store::Uid uid = 0;
  uint64_t flags = 0;
  store::MessageId message = 0;
  uint64_t size = 0;
  UnixTime date = 0;
};

constexpr size_t kMaxExportBatch = 500;  // messages between two flushes

/// Visits the messages of a mailbox after a UID, by UID, some at a time: nothing is held open in between.
void each_message(store::Account& account, store::MailboxId mailbox, store::Uid after,
                  const std::function<void(const std::vector<Outgoing>&)>& batch);

/// Gives a message with LF line ends, in pieces. False where it is gone, or was removed meanwhile.
bool read_message(store::Account& account, const Outgoing& message, const std::function<void(std::string_view)>& sink);

struct ExportCounts {
  uint64_t exported = 0, present = 0, changed = 0, passed_over = 0;
};

void export_maildir(Context& context, const TransferOptions& options);
void export_mbox(Context& context, const TransferOptions& options);
void import_maildir(Context& context, const TransferOptions& options, Importer& importer);
void import_mbox(Context& context, const TransferOptions& options, Importer& importer);
void import_imap(Context& context, const TransferOptions& options, Importer& importer);

/// Calls visit for the folders that an export is of. Throws CommandFailed.
void each_folder(store::Account& account, const TransferOptions& options,
                 const std::function<void(const store::Mailbox&)>& visit);

void say_exported(Context& context, const std::string& address, const std::string& path, const ExportCounts& counts,
                  const Json& notes);

}  // namespace postrider::mailctl
