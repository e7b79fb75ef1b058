// What all exports share: which folders, which messages, and what is said at the end.
#include <fmt/format.h>

#include "mailctl/transfer/line_ends.h"
#include "mailctl/transfer/transfer.h"

namespace postrider::mailctl {

void each_message(store::Account& account, store::MailboxId mailbox, store::Uid after,
                  const std::function<void(const std::vector<Outgoing>&)>& batch) {
  while (after < UINT32_MAX) {
    std::vector<Outgoing> rows;
    account.scan(mailbox, {after + 1, UINT32_MAX}, store::kWantDate, [&](const store::MessageRow& row) {
      rows.push_back({row.uid, row.flags.bits(), row.message, row.size, row.internal_date});
      return rows.size() < kMaxExportBatch;
    });
    if (rows.empty()) return;
    after = rows.back().uid;
    batch(rows);
  }
}

bool read_message(store::Account& account, const Outgoing& message, const std::function<void(std::string_view)>& sink) {
  ToLf to_lf;
  std::string piece, text;
  uint64_t offset = 0;
  while (offset < message.size) {
    piece.clear();
    text.clear();
    account.read(message.message, offset, kTransferPiece, piece);
    if (piece.empty()) return false;
    offset += piece.size();
    to_lf.append(piece, text);
    if (offset >= message.size) to_lf.finish(text);
    sink(text);
  }
  return message.size > 0;
}

void each_folder(store::Account& account, const TransferOptions& options,
                 const std::function<void(const store::Mailbox&)>& visit) {
  bool found = false;
  for (const store::Mailbox& mailbox : account.mailboxes()) {
    if (options.folder.empty() ? mailbox.shows_expunged : mailbox.name != options.folder) continue;
    found = true;
    visit(mailbox);
  }
  if (!found) throw CommandFailed(fmt::format("{} has no folder {}.", options.address, options.folder));
}

void say_exported(Context& context, const std::string& address, const std::string& path, const ExportCounts& counts,
                  const Json& notes) {
  context.progress({});
  for (const Json& note : notes) context.say(note.get<std::string>());
  context.result(
      {{"address", address},
       {"path", path},
       {"exported", counts.exported},
       {"already_there", counts.present},
       {"flags_changed", counts.changed},
       {"passed_over", counts.passed_over},
       {"notes", notes}},
      fmt::format("{} message{} of {} exported to {}, {} already there{}, {} passed over.", counts.exported,
                  counts.exported == 1 ? "" : "s", address, path, counts.present,
                  counts.changed == 0 ? std::string() : fmt::format(" ({} with other flags)", counts.changed),
                  counts.passed_over));
  if (counts.passed_over != 0) throw CommandFailed("Not everything was exported; see what was passed over.");
}

}  // namespace postrider::mailctl
