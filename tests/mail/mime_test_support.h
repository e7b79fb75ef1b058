// Helpers of the MIME tests: whole messages in, summaries out, fed in pieces of a chosen size.
#pragma once

#include <string>
#include <string_view>

#include "common/mail/mime_index.h"

namespace postrider {

inline MimeSummary summarize(std::string_view message, size_t piece = std::string_view::npos) {
  MimeIndexer indexer;
  for (size_t i = 0; i < message.size(); i += std::min(piece, message.size() - i))
    indexer.feed(message.substr(i, piece));
  return indexer.finish();
}

inline MimeSummary summarize_split(std::string_view message, size_t split) {
  MimeIndexer indexer;
  indexer.feed(message.substr(0, split));
  indexer.feed(message.substr(split));
  return indexer.finish();
}

/// Lines with LF, as they are easy to write here, with CRLF.
inline std::string crlf(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

/// Everything a summary says, to compare two of them.
inline std::string describe(const MimeSummary& summary) {
  return summary.index.serialize() + '|' + summary.envelope + '|' + summary.bodystructure + '|' +
         std::to_string(summary.size) + '|' + std::to_string(summary.head_size);
}

inline std::string_view body_of(std::string_view message, const MimePart& part) {
  return message.substr(part.body_offset(), part.body_size);
}

inline std::string_view header_of(std::string_view message, const MimePart& part) {
  return message.substr(part.header_offset, part.header_size);
}

/// The body of the part that section numbers name; "(no part)" where there is none.
inline std::string_view section(std::string_view message, const MimeSummary& summary,
                                const std::vector<uint32_t>& numbers) {
  const MimePart* part = summary.index.find(numbers);
  return part == nullptr ? std::string_view("(no part)") : body_of(message, *part);
}

}  // namespace postrider
