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

constexpr size_t kMaxGatheredFrames = 96 << 10;  // octets; SQLite writes less than 128 KiB at a time

/// Registers the layer with SQLite, once. Returns the name to open files with. Throws SqliteError.
const char* wal_vfs();

}  // namespace postrider::store
