// mailctl recover: what can be read of a damaged account file comes back.
#include <fmt/format.h>

#include "common/net/hint.h"
#include "mailctl/commands.h"
#include "mailctl/restore.h"
#include "store/account_recover.h"
#include "store/queue.h"
#include "store/writer_lock.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string address;
  bool empty = false;
};

std::string plural(int64_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

/// Where the damaged file lies now, which is set aside if it was not; the newest where there are several.
std::string damaged_file(Context& context, const store::AccountInfo& info, const std::string& path) {
  if (const ino_t file = store::identity_of(path); file != 0) {
    const std::string damage = store::find_damage(path);
    if (damage.empty()) return {};
    context.say(fmt::format("{} is damaged: {}", path, damage));
    store::set_aside(path, file, "damaged", context.clock().unix_time());
  } else if (!store::is_set_aside(path)) {
    throw CommandFailed(fmt::format("The account {} never had mail.", info.address));
  }
  const std::vector<std::string> files = store::set_aside_files(path);
  if (files.empty()) {
    throw CommandFailed(
        fmt::format("The file {} is gone, and none that was damaged lies beside it. `mailctl restore --from BACKUP "
                    "--replace {}` puts it back from a backup; `mailctl recover --empty {}` begins with an empty one.",
                    path, info.address, info.address));
  }
  return files.front();
}

void tell(Context& context, const store::AccountInfo& info, const std::string& kept, const store::Recovered& done) {
  Json result = {{"address", info.address},
                 {"read", kept},
                 {"messages", done.messages},
                 {"mailboxes", done.mailboxes},
                 {"found_again", done.found_again},
                 {"damaged", done.damaged},
                 {"lost", done.lost},
                 {"losses", done.losses},
                 {"unread", done.unread},
                 {"new_uids", done.new_uids}};
  if (context.json) return context.write(result.dump(2) + '\n');
  context.say(fmt::format("{} in {} of {} are there again, and it can be used at once.",
                          plural(done.messages, "message"), plural(done.mailboxes, "folder"), info.address));
  if (done.damaged > 0)
    context.say(fmt::format("Of {}, parts are missing; what there is lies in the same mailbox, as new mail.",
                            plural(done.damaged, "message")));
  if (done.found_again > 0)
    context.say(fmt::format("{} that no mailbox named any more: see the mailbox {}.",
                            plural(done.found_again, "message"), store::kRecoveredMailbox));
  if (done.lost > 0) context.say(fmt::format("Of {} nothing is left:", plural(done.lost, "message")));
  for (const std::string& one : done.losses) context.say("  " + one);
  if (done.new_uids) context.say("Mail programs will fetch everything anew: what they know of UIDs no longer counts.");
  context.say(fmt::format("The damaged file is kept: {}. Remove it when nobody misses anything.", kept));
}

void recover(Context& context, const Options& options) {
  const store::AccountInfo info = context.account(options.address);
  const std::string path = context.accounts().path_of(info.id);
  const std::string fresh = path + ".recovered";
  store::Recovered done;
  std::string kept;
  if (!options.empty || store::identity_of(path) != 0) {
    kept = damaged_file(context, info, path);
    if (kept.empty()) {
      return context.result({{"address", info.address}, {"damaged", false}},
                            fmt::format("The file of {} is whole; there is nothing to recover.", info.address));
    }
  }
  {
    store::AccountFile file(path);
    const store::WriterLock lock(file.lock_file());
    if (store::identity_of(path) != 0) throw CommandFailed("Somebody else has put the file back meanwhile.");
    store::ModSeq modseq = 0;
    if (options.empty) {
      modseq = store::make_empty_account(fresh, info.id, file.flushed(), context.clock());
    } else {
      done = store::recover_account(kept, fresh, info.id, file.flushed(), context.clock(), modseq);
    }
    store::put_in_place(file, fresh, path, modseq, context.clock().unix_time());
  }
  net::HintSender(context.config().in_state("run/imapd.sock")).send({info.id, 0, 0});
  deliver_what_waits(context, info.id);
  if (!options.empty) return tell(context, info, kept, done);
  context.result({{"address", info.address}, {"messages", 0}},
                 fmt::format("The account {} begins anew, with nothing in it.", info.address));
}

}  // namespace

void deliver_what_waits(Context& context, store::AccountId account) {
  store::Queue queue(context.state_folder(), context.clock());
  store::QueueFilter filter;
  filter.account = account;
  queue.change(filter, store::QueueChange::retry);
  net::HintSender(context.config().in_state(store::kQueueSocket)).send({});
}

void add_recover_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("recover", "Brings back what can be read of a damaged account.");
  describe(
      *command,
      "When an account's file is found to be damaged, it is set aside under another name, the account says so to its "
      "user, and mail for it waits in the queue. This command reads what can be read of it into a fresh file: "
      "mailboxes, messages, flags. A file that was not noticed yet is looked at first, and one that is whole is left "
      "as it is. The damaged file stays. The daemons need not be stopped, and take the new file at once.\n\n"
      "What is missing then may be in a backup: `mailctl restore --from BACKUP`.",
      "  mailctl recover alice@example.org\n  mailctl --json recover alice@example.org\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->add_flag("--empty", options->empty, "Where nothing is left of the file: begin with an empty one.");
  command->callback([&context, options] { recover(context, *options); });
}

}  // namespace postrider::mailctl
