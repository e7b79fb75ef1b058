// mailctl downgrade: the files of the state folder as the version before knows them.
#include "store/downgrade.h"

#include <fmt/format.h>

#include "mailctl/commands.h"
#include "mailctl/restore.h"

namespace postrider::mailctl {
namespace {

void downgrade(Context& context) {
  const std::string state = context.state_folder();
  const auto held = keep_daemons_out(context);
  const size_t count = store::downgrade_state(state, [&context](const std::string& path) { context.progress(path); });
  context.progress({});
  context.result({{"files", count}},
                 count == 0 ? std::string("No file is of the newest version: there is nothing to take back.")
                            : fmt::format("{} file{} of the version before now. Install and start that one; this one "
                                          "would migrate them again.",
                                          count, count == 1 ? " is" : "s are"));
}

}  // namespace

void add_downgrade_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("downgrade", "Takes the files back to the version before.");
  describe(*command,
           "A new version migrates files when it opens them, and the version before refuses them then. This command of "
           "the new version takes every file one step back, with all mail that came since; what only the new version "
           "knew is forgotten (docs/operations.md says what that is). Stop both daemons, run it, install the version "
           "before, start. It may be run again where it was interrupted.",
           "  mailctl downgrade\n");
  command->callback([&context] { downgrade(context); });
}

}  // namespace postrider::mailctl
