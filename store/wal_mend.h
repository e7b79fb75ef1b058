// A write-ahead log of which a piece is damaged, with the checksums of what it holds now.
//
// SQLite ignores a log from the first frame on whose checksum is wrong, and with it everything that came later: for an
// account that is most of its mail, where no checkpoint was due yet. With new checksums the other frames count again,
// and what is damaged is found where it is read.
#pragma once

#include <string>

namespace postrider::store {

/// Gives the frames of a log new checksums, up to the last that belongs to it. For a copy, while nobody has it open.
/// False: it is no log that could be read. Throws std::system_error.
bool mend_wal(const std::string& path);

}  // namespace postrider::store
