// Puts the text of messages into the search index: what a search would look into (search_text.h), folded likewise.
#pragma once

#include <string>

#include "store/account.h"
#include "store/trigrams.h"

namespace postrider::imap {

/// The root header of a message as a search sees it, the fields before the message included. The row has kWantHead.
std::string root_header(store::Account& account, const store::MessageRow& row);

/// Takes some more messages of an account into its index. False: all are in.
bool index_more(store::Account& account, store::TrigramSet& trigrams);

}  // namespace postrider::imap
