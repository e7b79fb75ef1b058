// A damaged account file, opened so that as much as possible of it can be read.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "store/sqlite.h"
#include "store/types.h"

namespace postrider::store {

/// The file, which is not changed. Where more can be read of a copy of it in the folder scratch, whose log got new
/// checksums or whose schema is that of a new file (then replaced is set), that copy. flushed: the modseq that it
/// should have at least. Throws SqliteError where nothing can be read.
std::unique_ptr<Database> open_damaged(const std::string& damaged, const std::string& scratch, ModSeq flushed,
                                       bool& replaced);

/// The first column of the first row; 0 where there is none.
int64_t read_number(Database& database, std::string_view sql);

/// All of a database into the file itself, which then needs no log. Throws SqliteError where somebody else has it open.
void make_whole(Database& database);

}  // namespace postrider::store
