// Which waiting mail a command means: options that `mailctl queue` commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "mailctl/context.h"
#include "store/queue.h"

namespace postrider::mailctl {

struct FilterOptions {
  std::string destination, sender, older_than, state;
};

/// --destination, --sender, --older-than and --state.
void add_filter_options(CLI::App& command, FilterOptions& options);
/// Throws CommandFailed for what is no duration or state.
store::QueueFilter filter_of(const FilterOptions& options, UnixTime now);
/// Throws CommandFailed where the text is no queue id.
store::QueueId queue_id_of(const std::string& text);
/// nullptr where there is no queue yet. Throws SqliteError.
std::unique_ptr<store::Queue> open_queue(Context& context);

}  // namespace postrider::mailctl
