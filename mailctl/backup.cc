// mailctl backup: copies of the state folder, in generations.
#include "store/backup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "common/config/values.h"
#include "mailctl/commands.h"
#include "store/backup_restore.h"

namespace postrider::mailctl {
namespace {

struct Options {
  std::string folder;
  size_t keep = 0;
  bool list = false, verify = false;
};

void list(Context& context, const std::string& folder) {
  Json rows = Json::array();
  for (const std::string& name : store::generations_of(folder)) {
    const auto manifest = store::Manifest::read(folder + '/' + name);
    uint64_t octets = 0;
    if (manifest) {
      for (const auto& [path, file] : manifest->files) octets += file.size;
    }
    rows.push_back({{"name", name},
                    {"begun", manifest ? manifest->begun : 0},
                    {"files", manifest ? Json(manifest->files.size()) : Json()},
                    {"size", octets},
                    {"readable", manifest.has_value()}});
  }
  context.print(rows,
                {{"name", "NAME"},
                 {"begun", "TIME", Show::time},
                 {"files", "FILES"},
                 {"size", "SIZE", Show::size},
                 {"readable", "MANIFEST", Show::yes_no}},
                "There is no backup in that folder.");
}

/// Of all: what is bad in one of them is seen when there is still another.
void verify(Context& context, const std::string& folder) {
  Json problems = Json::array();
  size_t files = 0, generations = 0;
  for (const std::string& name : store::generations_of(folder)) {
    ++generations;
    const auto manifest = store::Manifest::read(folder + '/' + name);
    if (!manifest) {
      problems.push_back(fmt::format("{}: its manifest cannot be read.", name));
      continue;
    }
    files += manifest->files.size();
    for (const std::string& path : store::verify_backup(folder + '/' + name, *manifest, {}))
      problems.push_back(fmt::format("{}/{}: it is not what was written.", name, path));
  }
  for (const Json& problem : problems) context.say(problem.get<std::string>());
  context.result({{"backups", generations}, {"files", files}, {"problems", problems}},
                 fmt::format("{} files of {} backup{} were read.", files, generations, generations == 1 ? "" : "s"));
  if (!problems.empty())
    throw CommandFailed(fmt::format("{} of them cannot be relied on. Make a new backup.", problems.size()));
}

void back_up(Context& context, const Options& options) {
  const std::string state = context.state_folder();
  store::Backup::Options how;
  how.keep = options.keep;
  how.progress = [&context](const std::string& path, size_t done, size_t all) {
    context.progress(all == 0 ? path : fmt::format("account {} of {}", done, all));
  };
  store::Backup backup(state, options.folder, context.clock(), how);
  const std::string made = backup.run();
  context.progress({});
  const store::BackupCounts& counts = backup.counts();
  for (const std::string& problem : backup.problems()) context.say(problem);
  context.result(
      {{"backup", made},
       {"files", counts.files},
       {"copied", counts.copied},
       {"octets", counts.octets},
       {"copied_octets", counts.copied_octets},
       {"problems", backup.problems()}},
      fmt::format("{} holds {} files of {}; {} of them, {}, changed since the backup before.", made, counts.files,
                  config::format_size(counts.octets), counts.copied, config::format_size(counts.copied_octets)));
  if (!backup.problems().empty())
    throw CommandFailed("The backup is there, but not everything is in order; older ones were not removed.");
}

}  // namespace

void add_backup_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("backup", "Copies the state folder while the daemons run.");
  describe(
      *command,
      "Makes a backup in DIR, in a folder of its own named after the time: mail, queue, accounts, keys. Nobody waits "
      "for it, and every message that was acknowledged before it began is in it. What did not change since the backup "
      "before is not copied but linked, so that each of them is whole and takes little room; DIR should be on another "
      "disk, or be copied to one. Each copy is checked. A backup that is interrupted leaves those before it as they "
      "are, and is begun anew the next time.\n\n"
      "It holds passwords (hashed), keys and everybody's mail. `mailctl restore` brings it back. The configuration and "
      "certificates that lie outside of the state folder are not in it.\n\n"
      "Exit status 1 says that there is no backup, or that a file of it is not as it should be.",
      "  mailctl backup --keep 14 /srv/backup/mail\n"
      "  mailctl backup --list /srv/backup/mail\n"
      "  mailctl backup --verify /srv/backup/mail\n");
  command->add_option("DIR", options->folder, "Where backups are.")->required();
  command->add_option("--keep", options->keep, "Then remove all but this many, the newest ones.")->type_name("COUNT");
  auto* listing = command->add_flag("--list", options->list, "Show the backups that are there.");
  command->add_flag("--verify", options->verify, "Compare every file of every backup with its checksum.")
      ->excludes(listing);
  command->callback([&context, options] {
    if (options->list) return list(context, options->folder);
    if (options->verify) return verify(context, options->folder);
    back_up(context, *options);
  });
}

}  // namespace postrider::mailctl
