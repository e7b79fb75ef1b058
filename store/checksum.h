// Checksums of stored texts: an octet that turned over on the disk is noticed, not read.
#pragma once

#include <cstdint>
#include <string_view>

struct sqlite3;

namespace postrider::store {

/// XXH3 (64 bits) of a text; of several, one after another, each with what was given for the one before. Against
/// accidents only.
int64_t checksum(std::string_view text, int64_t before = 0);

/// The SQL function checksum(blob, ...): of all of them, one after another.
void add_checksum(sqlite3* db);

}  // namespace postrider::store
