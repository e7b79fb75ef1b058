// The file layer of this store's SQLite: the system's own, but that the frames of a transaction go into the WAL with
// one write, and that a WAL is made longer in large steps.
//
// SQLite writes the header and the page of each frame on its own: some twenty writes for a message. Here they gather
// until the frame that commits, which is written with all before it; so what a reader can learn of is in the file, and
// an error reaches the commit that it belongs to. A flush of a file that has become longer writes the file system's
// journal too, and waits for whoever else does; where zeros lie ahead of the frames, few flushes are of that kind.
#pragma once

#include <cstddef>

namespace postrider::store {

class SqliteError;

/// A file control (sqlite3_file_control), with an int for the answer: whether the name of the WAL leads to another file
/// than the one that is open, or to none. What it holds is then to be seen through handles that have it open alone.
constexpr int kWalHasMoved = 0x706f'7374;

/// What others meet with then: the WAL has less than what all share of it says.
bool is_wal_lost(const SqliteError& error);

constexpr size_t kMaxGatheredFrames = 96 << 10;  // octets; SQLite writes less than 128 KiB at a time

/// Registers the layer with SQLite, once. Returns the name to open files with. Throws SqliteError.
const char* wal_vfs();

}  // namespace postrider::store
