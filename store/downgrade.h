// The way back to the version before: every file of the state folder one step.
#pragma once

#include <functional>
#include <string>

namespace postrider::store {

/// The daemons must not run. Gives how many files were taken back; what was already is passed over, so that an
/// interrupted call is made again. Told before each file: its path. Throws SqliteError.
size_t downgrade_state(const std::string& state, const std::function<void(const std::string& path)>& on_file);

}  // namespace postrider::store
