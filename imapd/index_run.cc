#include "imapd/index_run.h"

#include <algorithm>

#include "common/mail/mime_index.h"
#include "imapd/search_text.h"
#include "store/search_index.h"

namespace postrider::imap {

std::string root_header(store::Account& account, const store::MessageRow& row) {
  std::string header;
  if (row.head.size() == row.head_size) {
    header.assign(row.prefix);
    header += row.head;
  } else {
    account.read(row.message, 0, std::min<uint64_t>(row.prefix_size + row.head_size, kMaxHeaderBlock), header);
  }
  return header;
}

bool index_more(store::Account& account, store::TrigramSet& trigrams) {
  auto read_message = [&](const store::MessageRow& row, store::TrigramSet& into) {
    auto take = [&](std::string_view folded, bool begins) {
      if (begins) into.begin_text();
      into.feed(folded);
      return into.overflowed();
    };
    auto read = [&](uint64_t offset, uint64_t length, std::string& out) {
      account.read(row.message, row.prefix_size + offset, length, out);
    };
    if (visit_header(root_header(account, row), take)) return;
    visit_body(MimeIndex::deserialize(row.index).value_or(MimeIndex{}), read, take);
  };
  return store::SearchIndex(account).fill(trigrams, read_message);
}

}  // namespace postrider::imap
