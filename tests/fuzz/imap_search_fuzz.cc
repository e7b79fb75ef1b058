// What SEARCH, SORT, THREAD and PREVIEW read of a message; and the octets of its sections.
#include <string>
#include <vector>

#include "common/base/utf8.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/message_section.h"
#include "common/mail/mime_index.h"
#include "imapd/base_subject.h"
#include "imapd/preview.h"
#include "imapd/search_text.h"
#include "imapd/thread.h"
#include "tests/fuzz/imap_grammar.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using namespace postrider::imap;
using fuzz::must;

namespace {

constexpr size_t kMaxMessages = 50;

void check_sections(const MimeIndex& index, size_t size) {
  for (const uint32_t first : {0u, 1u, 2u}) {
    for (const Section::Text text :
         {Section::Text::whole, Section::Text::header, Section::Text::text, Section::Text::mime}) {
      Section section;
      if (first != 0) section.part = {first};
      section.text = text;
      const auto octets = find_octets(section, index, 0, size);
      if (!octets) continue;
      must(octets->offset + octets->length <= size, "a section is in its message");
      const Octets some = cut(*octets, Partial{3, 10});
      must(some.length <= 10 && some.offset + some.length <= size, "a part of it too");
    }
  }
}

void check_text(const MimeIndex& index, std::string_view message) {
  const ReadOctets read = [&](uint64_t offset, uint64_t length, std::string& out) {
    must(offset <= message.size(), "it is read where it is");
    out += message.substr(offset, length);
  };
  size_t octets = 0;
  const TextSink sink = [&](std::string_view folded, bool) {
    octets += folded.size();
    must(is_valid_utf8(folded), "text for search is UTF-8");
    return false;
  };
  const std::string_view head = message.substr(0, header_block_size(message));
  visit_header(head, sink);
  visit_body(index, read, sink);
  must(octets <= 60 * message.size() + 1'000, "text for search stays small");
  const std::string needle = fold_for_search(message.substr(message.size() / 2, 5));
  header_contains(head, needle);
  field_contains(head, "subject", needle);
  body_contains(index, read, needle);
  relevancy_of(head, needle, true);
  const std::string preview = make_preview(index, read);
  must(is_valid_utf8(preview) && preview.size() <= 4 * kMaxPreview, "a preview is short UTF-8");
  must(preview.find_first_of("\r\n") == std::string::npos, "a preview is one line");
}

/// Every line is a message: its References, and what is behind a "|" its subject.
void check_threads(std::string_view text) {
  std::vector<ThreadMessage> messages;
  fuzz::Input input(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  while (!input.at_end() && messages.size() < kMaxMessages) {
    const std::string line(input.line());
    const size_t bar = line.find('|');
    ThreadMessage message;
    message.number = static_cast<uint32_t>(messages.size()) + 1;
    message.sent = static_cast<UnixTime>(line.size());
    message.subject = base_subject(bar == std::string::npos ? line : line.substr(bar + 1));
    // Encoded words are decoded once, and what comes of them may look like one.
    const bool again_encoded = message.subject.text.find("=?") != std::string::npos;
    must(again_encoded || base_subject(message.subject.text).text == message.subject.text,
         "what is left of a subject is its base");
    message.id = first_message_id(line);
    message.references = parse_references(line.substr(0, bar), line);
    must(message.references.size() <= kMaxReferences, "references have a limit");
    messages.push_back(std::move(message));
  }
  for (const std::string& threads : {thread_by_subject(messages), thread_by_references(messages)}) {
    size_t numbers = 0;
    for (size_t at = 0; at < threads.size(); ++at) {
      const auto digit = [&](size_t i) { return threads[i] >= '0' && threads[i] <= '9'; };
      if (digit(at) && (at == 0 || !digit(at - 1))) ++numbers;
    }
    must(numbers == messages.size(), "each message is in one thread");
    fuzz::must_be_items(threads);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  MimeIndexer indexer;
  indexer.feed(message);
  const MimeIndex index = indexer.finish().index;
  check_sections(index, size);
  check_text(index, message);
  check_threads(message);
  return 0;
}
