// Whether a text occurs in a message as a person reads it: transfer encoding and charset taken off, case folded.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mail/mime_index.h"

namespace postrider::imap {

/// Reads length octets from offset of what the index counts from, appended to out; fewer at the end of the message.
using ReadOctets = std::function<void(uint64_t offset, uint64_t length, std::string& out)>;

/// Takes folded text (fold_for_search). begins: it does not go on from the piece before. True: that is enough.
using TextSink = std::function<bool(std::string_view folded, bool begins)>;

/// The texts that a search looks into, and no others: whoever puts them in an index has what a search can find. True:
/// the sink had enough.

/// Each field of a header block with its name; of address fields, the addresses as they are meant besides.
bool visit_header(std::string_view block, const TextSink& sink);
/// The text parts, and the headers of parts and of messages within the message.
bool visit_body(const MimeIndex& index, const ReadOctets& read, const TextSink& sink);

/// needle: as fold_for_search() makes it; an empty one is everywhere.

/// In some field of a header block, its name included.
bool header_contains(std::string_view block, std::string_view needle);
/// In the values of the fields of that name, or in their addresses as they are meant, without the comments and quotes
/// that may stand between; an empty needle asks whether there is such a field (RFC 3501 6.4.4).
bool field_contains(std::string_view block, std::string_view field, std::string_view needle);
bool body_contains(const MimeIndex& index, const ReadOctets& read, std::string_view needle);

constexpr size_t kMaxWords = 32;
/// What blanks part, of folded text; of many the first kMaxWords.
std::vector<std::string> words_of(std::string_view folded);

constexpr unsigned kMaxRelevancy = 100;
/// From 1 to kMaxRelevancy: how much a message whose words match is about what was searched for (RFC 6203 4). sought:
/// folded; whole: it is in the message as it stands. The subject counts most.
unsigned relevancy_of(std::string_view block, std::string_view sought, bool whole);

}  // namespace postrider::imap
