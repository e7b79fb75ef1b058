// The MIME index: the same however the message is cut, parts within the message, kept and read back unchanged.
#include <cstdlib>

#include "common/mail/mime_index.h"
#include "tests/fuzz/imap_grammar.h"

using namespace postrider;

namespace {

MimeSummary index_of(std::string_view message, size_t piece) {
  MimeIndexer indexer;
  for (size_t at = 0; at < message.size(); at += piece) indexer.feed(message.substr(at, piece));
  return indexer.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view message(reinterpret_cast<const char*>(data) + 1, size - 1);
  const MimeSummary whole = index_of(message, message.size() + 1);
  const MimeSummary pieces = index_of(message, 1 + data[0] % 16);
  if (whole.envelope != pieces.envelope || whole.bodystructure != pieces.bodystructure) std::abort();
  if (whole.size != message.size() || whole.head_size > whole.size || whole.index.parts.empty()) std::abort();
  if (whole.index.parts.size() > kMaxMimeParts) std::abort();
  const std::string blob = whole.index.serialize();
  if (blob != pieces.index.serialize()) std::abort();
  for (const MimePart& part : whole.index.parts) {
    if (part.body_offset() + part.body_size > message.size()) std::abort();
  }
  const auto kept = MimeIndex::deserialize(blob);
  if (!kept || kept->serialize() != blob) std::abort();
  fuzz::must_be_items(whole.envelope);
  fuzz::must_be_items(whole.bodystructure);
  fuzz::must_be_items(body_from_bodystructure(whole.bodystructure));
  // 5,000 parts of a few octets each are described by some hundred.
  if (whole.bodystructure.size() > 200 * message.size() + 1'000) std::abort();
  MimeIndex::deserialize(message);
  return 0;
}
