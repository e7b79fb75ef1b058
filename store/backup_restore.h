// What a backup has, back in a state folder. Each file is compared with the manifest before it is used; the backup
// itself is only read. UIDs that were given out after it was made never come to mean other messages: what comes back as
// a whole account gets new UIDVALIDITY values (number_anew()).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/account_recover.h"
#include "store/backup_manifest.h"

namespace postrider::store {

/// Told before each file: its path.
using OnFile = std::function<void(const std::string& path)>;

/// The paths of files that are not what the manifest says, or not there. Reads everything.
std::vector<std::string> verify_backup(const std::string& folder, const Manifest& manifest, const OnFile& on_file);

/// Everything, into a state folder without mail and without running daemons; directory.db comes last, so that what is
/// interrupted is seen to be. Throws std::runtime_error (a sentence), std::system_error, SqliteError.
void restore_state(const std::string& folder, const Manifest& manifest, const std::string& state, const Clock& clock,
                   const OnFile& on_file);

/// Copies a database out of the backup to where it may be opened, migrated and thrown away. Throws likewise.
void take_from_backup(const std::string& folder, const Manifest& manifest, const std::string& path,
                      const std::string& to);

/// Puts the backup's copy of an account in the place of the account's file, which is kept under the name that this
/// gives (empty: there was none). The daemons may run. path: of the account's file; source: of the copy, in the backup.
std::string replace_account(const std::string& folder, const Manifest& manifest, const std::string& source,
                            const std::string& path, AccountId id, const Clock& clock);

}  // namespace postrider::store
