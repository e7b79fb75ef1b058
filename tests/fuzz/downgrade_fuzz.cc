// A message for a 7-bit host: converted the same however it is cut, without 8-bit octets, and with the parts that it
// had.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "common/base/ascii.h"
#include "common/mail/downgrade.h"
#include "common/mail/mime_index.h"

using namespace postrider;

namespace {

size_t parts_of(std::string_view text) {
  MimeIndexer indexer;
  indexer.feed(text);
  return indexer.finish().index.parts.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const ReadMessage at_once = [&](const auto& sink) { sink(input); };
  const ReadMessage by_octet = [&](const auto& sink) {
    for (size_t at = 0; at < size; ++at) sink(input.substr(at, 1));
  };
  for (bool binary : {false, true}) {
    auto plan = plan_downgrade(at_once, ContentLimit::seven_bit, binary);
    auto same = plan_downgrade(by_octet, ContentLimit::seven_bit, binary);
    if (plan.has_value() != same.has_value()) std::abort();
    if (!plan) continue;
    std::string whole, pieces;
    Downgrader first(*plan), second(*same);
    at_once([&](std::string_view piece) { first.feed(piece, whole); });
    by_octet([&](std::string_view piece) { second.feed(piece, pieces); });
    first.finish(whole);
    second.finish(pieces);
    if (whole != pieces || has_8bit(whole)) std::abort();
    // What is masked between the parts may by chance become a strange boundary.
    bool masks = std::any_of(plan->edits.begin(), plan->edits.end(),
                             [](const auto& edit) { return edit.kind == DowngradePlan::Edit::Kind::mask; });
    if (!masks && parts_of(whole) != parts_of(input)) std::abort();
  }
  return 0;
}
