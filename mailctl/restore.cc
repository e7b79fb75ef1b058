// mailctl restore: brings back what was expunged. What a backup has: restore_backup.cc.
#include "mailctl/restore.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "common/config/values.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/imap_string.h"
#include "common/net/hint.h"
#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

/// A message that was chosen.
struct Choice {
  int64_t id = 0;
  std::string folder, from, subject, message_id;
  bool folder_gone = false;
  UnixTime expunged = 0;
  uint64_t size = 0;
};

std::string field(const std::string& head, std::string_view name) {
  auto value = find_header(head, name);
  return value ? decode_encoded_words(*value) : std::string();
}

std::vector<Choice> choose(const Context& context, store::Account& account, const RestoreOptions& options) {
  const UnixTime since = ago(context, options.since, 0);
  const UnixTime until = ago(context, options.until, context.clock().unix_time());
  const std::string wanted = fold_for_search(options.subject);
  std::vector<Choice> chosen;
  account.scan_kept([&](const store::KeptMessage& kept) {
    if (kept.expunged < since || kept.expunged > until) return true;
    if (!options.folder.empty() && kept.name != options.folder) return true;
    std::string head;
    account.read(kept.message, 0, kHeaderRead, head);
    Choice one;
    one.subject = field(head, "Subject");
    one.message_id = find_header(head, "Message-ID").value_or("");
    if (fold_for_search(one.subject).find(wanted) == std::string::npos) return true;
    if (!options.message_id.empty() && bare_message_id(one.message_id) != bare_message_id(options.message_id))
      return true;
    one.id = kept.id;
    one.folder = kept.name;
    one.folder_gone = kept.mailbox_gone;
    one.expunged = kept.expunged;
    one.size = kept.size;
    if (options.list) one.from = field(head, "From");
    chosen.push_back(std::move(one));
    return true;
  });
  return chosen;
}

void list(Context& context, const std::vector<Choice>& chosen) {
  Json rows = Json::array();
  for (const Choice& one : chosen) {
    rows.push_back({{"expunged", one.expunged},
                    {"folder", one.folder},
                    {"folder_deleted", one.folder_gone},
                    {"size", one.size},
                    {"from", one.from},
                    {"subject", one.subject},
                    {"message_id", std::string(bare_message_id(one.message_id))}});
  }
  context.print(rows,
                {{"expunged", "REMOVED", Show::time},
                 {"folder", "FOLDER"},
                 {"size", "SIZE", Show::size},
                 {"from", "FROM"},
                 {"subject", "SUBJECT"}},
                "Nothing that was removed is kept, or nothing fits.");
}

void restore(Context& context, const RestoreOptions& options) {
  const store::AccountInfo info = context.account(options.address);
  if (::access(context.accounts().path_of(info.id).c_str(), F_OK) != 0) {
    throw CommandFailed(fmt::format("The account {} never had mail.", info.address));
  }
  auto account = context.accounts().open(info.id);
  const std::vector<Choice> chosen = choose(context, *account, options);
  if (options.list) return list(context, chosen);
  std::optional<store::MailboxId> to;
  if (!options.to.empty()) {
    auto target = account->find_mailbox(options.to);
    if (!target) throw CommandFailed(fmt::format("{} has no folder {}.", info.address, options.to));
    to = target->id;
  }
  size_t restored = 0;
  net::HintSender hints(context.config().in_state("run/imapd.sock"));
  for (size_t begin = 0; begin < chosen.size(); begin += kMaxRestored) {
    std::vector<int64_t> ids;
    for (size_t i = begin; i < std::min(begin + kMaxRestored, chosen.size()); ++i) ids.push_back(chosen[i].id);
    store::Edit edit(*account);
    auto done = edit.restore(ids, to);
    if (!done) throw CommandFailed(done.error().message);
    edit.commit_flushed();
    restored += *done;
    for (store::MailboxId mailbox : edit.touched()) hints.send({info.id, mailbox, edit.modseq()});
  }
  if (restored == 0)
    throw CommandFailed("Nothing that was removed is kept, or nothing fits; --list shows what is there.");
  context.result({{"address", info.address}, {"restored", restored}},
                 fmt::format("{} message{} of {} restored.", restored, restored == 1 ? "" : "s", info.address));
}

}  // namespace

std::string_view bare_message_id(std::string_view id) {
  while (!id.empty() && (id.front() == '<' || id.front() == ' ')) id.remove_prefix(1);
  while (!id.empty() && (id.back() == '>' || id.back() == ' ')) id.remove_suffix(1);
  return id;
}

UnixTime ago(const Context& context, const std::string& text, UnixTime otherwise) {
  if (text.empty()) return otherwise;
  const auto age = config::parse_duration(text);
  if (!age) throw CommandFailed(fmt::format("{} is no time: write how long ago, as 30m, 2h or 3d.", text), kUsage);
  return context.clock().unix_time() - std::chrono::floor<std::chrono::seconds>(*age).count();
}

namespace {

/// Nothing that was asked for is passed over: somebody who names a folder does not want the whole account replaced.
void check(const RestoreOptions& options) {
  const bool chooses =
      !(options.folder + options.to + options.subject + options.message_id).empty() || options.uid != 0 || options.list;
  const auto wrong = [](const char* why) { throw CommandFailed(why, kUsage); };
  if (options.address.empty() != options.all)
    wrong("Name one account, or --all for everything. Try `mailctl restore --help`.");
  if (options.all && chooses) wrong("--all brings back everything: it goes with --from and --before only.");
  if (options.replace && chooses)
    wrong("--replace makes the whole account what it was: it goes with --from and --before only.");
  if (!options.from.empty() && !(options.since + options.until).empty())
    wrong(
        "--since and --until say when something was removed, which a backup does not know. --before says how old the "
        "backup has to be.");
  if (options.uid != 0 && options.folder.empty()) wrong("A UID belongs to a folder: name it with --folder.");
}

}  // namespace

void add_restore_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* command = app.add_subcommand("restore", "Brings back mail that was removed, or what a backup has.");
  describe(
      *command,
      "Without --from: brings back messages that were expunged, and folders that were deleted with their messages, as "
      "long as they are kept (store.undelete). A message goes back to its folder, which is made again where it is "
      "gone, and gets a new UID. --folder, --subject, --message-id, --since and --until choose. --list shows what can "
      "come back, and changes nothing.\n\n"
      "With --from: brings back what a backup has (`mailctl backup`): DIR, or one of the backups in it. Messages are "
      "added to the account below the folder Restored, or to another one with --to: all, those of a --folder (without "
      "the folders below it), or those with a --subject, a --message-id or a --uid. With --replace the whole account "
      "becomes what it was then, mail that came since is no longer in it, and the file that it has now is kept under "
      "another name. --before 1h takes the youngest backup that is older than that. The daemons may run.\n\n"
      "With --all and --from: everything, into an empty state folder; the daemons must not run. No UID comes to mean "
      "another message: mail programs fetch everything anew.",
      "  mailctl restore --list alice@example.org\n"
      "  mailctl restore --since 2h --subject invoice alice@example.org\n"
      "  mailctl restore --from /srv/backup/mail --folder Projects alice@example.org\n"
      "  mailctl restore --from /srv/backup/mail --message-id '<1@example.net>' --to INBOX alice@example.org\n"
      "  mailctl restore --from /srv/backup/mail --before 1h --replace alice@example.org\n"
      "  mailctl restore --from /srv/backup/mail --all\n");
  command->add_option("ADDRESS", options->address, "The account's address.");
  command->add_flag("--list", options->list, "Show what can come back.");
  command->add_option("--folder", options->folder, "What was removed from this folder, or lay in it.");
  command->add_option("--since", options->since, "What was removed no longer ago than this, as 2h or 3d.");
  command->add_option("--until", options->until, "What was removed longer ago than this, as 10m or 1d.");
  command->add_option("--subject", options->subject, "What has this in its subject.");
  command->add_option("--to", options->to, "Restore everything into this folder.");
  CLI::Option* from = command->add_option("--from", options->from, "From a backup.")->type_name("DIR");
  command->add_option("--before", options->before, "The youngest backup older than this, as 1h or 2d.")->needs(from);
  command->add_option("--message-id", options->message_id, "The message with this Message-ID.");
  command->add_option("--uid", options->uid, "The message of this UID in --folder, as it was then.")
      ->needs(from)
      ->check(CLI::PositiveNumber);
  CLI::Option* replace =
      command->add_flag("--replace", options->replace, "The whole account becomes what it was.")->needs(from);
  command->add_flag("--all", options->all, "Everything, into an empty state folder.")->needs(from)->excludes(replace);
  command->callback([&context, options] {
    check(*options);
    for (std::string* name : {&options->folder, &options->to}) *name = canonical_mailbox(std::move(*name));
    if (!options->from.empty()) return restore_from_backup(context, *options);
    restore(context, *options);
  });
}

}  // namespace postrider::mailctl
