// What a user leaves for mta: whatever is taken can be written again and means the same.
#include <cstdlib>

#include "common/mail/drop_file.h"

using namespace postrider;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto read = parse_drop_envelope(text)) {
    if (read->size > size || read->envelope.recipients.empty()) std::abort();
    const std::string again = format_drop_envelope(read->envelope);
    const auto same = parse_drop_envelope(again);
    if (!same || same->size != again.size() || same->envelope.recipients != read->envelope.recipients ||
        same->envelope.sender != read->envelope.sender || same->envelope.notify != read->envelope.notify) {
      std::abort();
    }
  }
  LineEndNormalizer normalizer;
  std::string lines;
  for (size_t at = 0; at < size; at += 7) normalizer.feed(text.substr(at, 7), lines);
  normalizer.finish(lines);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] == '\n' && (i == 0 || lines[i - 1] != '\r')) std::abort();
    if (lines[i] == '\r' && (i + 1 == lines.size() || lines[i + 1] != '\n')) std::abort();
  }
  return 0;
}
