// mailctl restore --from: everything, an account, a folder or a message out of a backup.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "common/base/ascii.h"
#include "common/mail/address.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/net/hint.h"
#include "mailctl/commands.h"
#include "mailctl/restore.h"
#include "store/backup_restore.h"
#include "store/scratch.h"

namespace postrider::mailctl {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRestored = "Restored/";
constexpr size_t kCopiedTogether = 500;  // messages in one change: writers of the account wait for one of them

struct Source {
  std::string folder;
  store::Manifest manifest;
};

/// DIR is a backup, or holds backups: then the youngest that is old enough.
Source find_source(const Context& context, const RestoreOptions& options) {
  Source source;
  const UnixTime before = ago(context, options.before, INT64_MAX);
  if (auto manifest = store::Manifest::read(options.from)) {
    source = {options.from, std::move(*manifest)};
  } else {
    for (const std::string& name : store::generations_of(options.from)) {
      auto one = store::Manifest::read(options.from + '/' + name);
      if (one && one->begun <= before) source = {options.from + '/' + name, std::move(*one)};
    }
  }
  if (source.folder.empty() || source.manifest.begun > before) {
    throw CommandFailed(
        fmt::format("{} has no backup{} that can be read. `mailctl backup --list {}` shows what is "
                    "there.",
                    options.from, options.before.empty() ? "" : fmt::format(" from more than {} ago", options.before),
                    options.from));
  }
  return source;
}

void restore_all(Context& context, const Source& source) {
  const std::string state = context.state_folder();
  const auto held = keep_daemons_out(context);
  store::restore_state(source.folder, source.manifest, state, context.clock(),
                       [&](const std::string& path) { context.progress(path); });
  context.progress({});
  context.result({{"backup", source.folder}, {"files", source.manifest.files.size()}},
                 fmt::format("{} files of the backup of {} are in {}. Start the daemons, and see `mailctl audit`.",
                             source.manifest.files.size(), format_time(source.manifest.begun), state));
}

/// The path of the account's file in the backup; its number may have been another one then.
std::string path_in_backup(const Context& context, const Source& source, const std::string& address,
                           const std::string& scratch) {
  store::take_from_backup(source.folder, source.manifest, "directory.db", scratch + "/directory.db");
  store::Directory directory(scratch, context.clock());
  for (const store::AccountInfo& account : directory.accounts()) {
    if (account.address != address) continue;
    const std::string path =
        store::Accounts(scratch, 0, context.clock()).path_of(account.id).substr(scratch.size() + 1);
    if (source.manifest.files.contains(path)) return path;
    throw CommandFailed(fmt::format("{} had no mail when the backup {} was made.", address, source.folder));
  }
  throw CommandFailed(fmt::format("There was no account {} when the backup {} was made.", address, source.folder));
}

void tell_imapd(Context& context, store::AccountId account, store::MailboxId mailbox, store::ModSeq modseq) {
  net::HintSender(context.config().in_state("run/imapd.sock")).send({account, mailbox, modseq});
}

void replace(Context& context, const store::AccountInfo& info, const Source& source, const std::string& path) {
  const std::string file = context.accounts().path_of(info.id);
  const std::string kept = store::replace_account(source.folder, source.manifest, path, file, info.id, context.clock());
  tell_imapd(context, info.id, 0, 0);
  deliver_what_waits(context, info.id);
  context.result({{"address", info.address}, {"backup", source.folder}, {"kept", kept}},
                 fmt::format("{} is what it was at {}.{}", info.address, format_time(source.manifest.begun),
                             kept.empty() ? std::string() : fmt::format(" What it was until now is kept: {}.", kept)));
}

/// The messages of a folder that are asked for.
store::UidRanges choose(store::Account& from, const store::Mailbox& mailbox, const RestoreOptions& options) {
  store::UidRanges chosen;
  if (options.uid == 0 && options.subject.empty() && options.message_id.empty()) {
    if (auto all = from.snapshot(mailbox.id)) chosen = std::move(all->uids);
    return chosen;
  }
  const std::string subject = fold_for_search(options.subject);
  const store::UidRange range =
      options.uid != 0 ? store::UidRange{options.uid, options.uid} : store::UidRange{1, UINT32_MAX};
  from.scan(mailbox.id, range, store::kWantHead, [&](const store::MessageRow& row) {
    const auto id = find_header(row.head, "Message-ID");
    const auto text = find_header(row.head, "Subject");
    const bool fits =
        (options.message_id.empty() || (id && bare_message_id(*id) == bare_message_id(options.message_id))) &&
        (subject.empty() || (text && fold_for_search(decode_encoded_words(*text)).find(subject) != std::string::npos));
    if (fits) store::append_uid(chosen, row.uid);
    return true;
  });
  return chosen;
}

/// At most so many of them, which are taken out.
store::UidRanges take_some(store::UidRanges& uids, size_t most) {
  store::UidRanges some;
  while (!uids.empty() && most > 0) {
    store::UidRange& first = uids.front();
    const auto end = static_cast<store::Uid>(std::min<uint64_t>(first.last, uint64_t{first.first} + most - 1));
    some.push_back({first.first, end});
    most -= end - first.first + 1;
    if (end == first.last) {
      uids.erase(uids.begin());
    } else {
      first.first = end + 1;
    }
  }
  return some;
}

store::MailboxId folder_for(store::Edit& edit, store::Account& account, const std::string& name) {
  if (const auto found = account.find_mailbox(name)) return found->id;
  auto made = edit.create_mailbox(name, "");
  if (!made) throw CommandFailed(made.error().message);
  // Many mail programs show what is subscribed only. A full list of subscriptions keeps no mail away.
  std::ignore = edit.subscribe(name, true);
  return *made;
}

size_t copy_folder(Context& context, store::Account& from, const store::Mailbox& mailbox, store::UidRanges uids,
                   store::Account& to, const std::string& name) {
  size_t copied = 0;
  while (!uids.empty()) {
    const store::UidRanges some = take_some(uids, kCopiedTogether);
    store::Edit edit(to);
    auto done = edit.copy_from(from, mailbox.id, some, folder_for(edit, to, name), 0, ~store::Flags::kDeleted);
    if (!done) throw CommandFailed(done.error().message);
    edit.commit_flushed();
    copied += store::count(done->to);
    for (store::MailboxId touched : edit.touched()) tell_imapd(context, to.id(), touched, edit.modseq());
    context.progress(fmt::format("{}: {} messages", name, copied));
  }
  return copied;
}

void add_messages(Context& context, const store::AccountInfo& info, const Source& source, const std::string& path,
                  const std::string& scratch, const RestoreOptions& options) {
  const std::string copy = scratch + "/from.db";
  store::take_from_backup(source.folder, source.manifest, path, copy);
  store::Account from(copy, info.id, store::OpenMode::must_exist, context.clock());
  size_t copied = 0;
  Json folders = Json::array();
  std::optional<store::Accounts::Lease> to;
  for (const store::Mailbox& mailbox : from.mailboxes()) {
    if (mailbox.shows_expunged || (!options.folder.empty() && mailbox.name != options.folder)) continue;
    store::UidRanges uids = choose(from, mailbox, options);
    if (uids.empty()) continue;
    const uint64_t wanted = store::count(uids);
    folders.push_back({{"folder", mailbox.name}, {"messages", wanted}});
    if (options.list) continue;
    if (!to) to.emplace(context.accounts().open(info.id));
    const std::string name = options.to.empty() ? std::string(kRestored) + mailbox.name : options.to;
    copied += copy_folder(context, from, mailbox, std::move(uids), **to, name);
  }
  context.progress({});
  if (options.list) {
    return context.print(folders, {{"folder", "FOLDER"}, {"messages", "MESSAGES"}}, "Nothing in that backup fits.");
  }
  if (copied == 0) throw CommandFailed("Nothing in that backup fits; --list shows its folders.");
  context.result(
      {{"address", info.address}, {"backup", source.folder}, {"restored", copied}, {"folders", folders}},
      fmt::format("{} message{} of {} as of {} put into {}.", copied, copied == 1 ? "" : "s", info.address,
                  format_time(source.manifest.begun), options.to.empty() ? "folders below Restored" : options.to));
}

}  // namespace

std::vector<net::PidFile> keep_daemons_out(Context& context) {
  const auto& server = context.config().server;
  const std::string folder = server.pid_directory.empty() ? server.state : server.pid_directory;
  std::vector<net::PidFile> held;
  for (const char* name : {"mta.pid", "imapd.pid"}) held.push_back(require(net::PidFile::take(folder + '/' + name)));
  return held;
}

void restore_from_backup(Context& context, const RestoreOptions& options) {
  const Source source = find_source(context, options);
  if (options.all) return restore_all(context, source);
  const store::AccountInfo info = context.account(options.address);
  const store::Scratch scratch(fmt::format("{}/restore.scratch.{}", context.state_folder(), ::getpid()));
  const std::string path = path_in_backup(context, source, info.address, scratch.path);
  if (options.replace) return replace(context, info, source, path);
  add_messages(context, info, source, path, scratch.path, options);
}

}  // namespace postrider::mailctl
