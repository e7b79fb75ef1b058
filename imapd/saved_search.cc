#include "imapd/saved_search.h"

#include "common/mail/charset.h"
#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

void convert_to_utf8(SearchKey& key, std::string_view charset) {
  key.value = to_utf8(key.value, charset);
  for (SearchKey& child : key.children) convert_to_utf8(child, charset);
}

class Insertion {
 public:
  Insertion(SearchCommand& command, const FindFilter& find) : command_(command), find_(find) {}

  std::optional<Reply> visit(SearchKey& key, size_t depth) {
    if (key.kind == SearchKey::Kind::filter) return insert(key, depth);
    for (SearchKey& child : key.children) {
      if (auto wrong = visit(child, depth)) return wrong;
    }
    return std::nullopt;
  }

 private:
  std::optional<Reply> insert(SearchKey& key, size_t depth) {
    if (depth >= kMaxFilterDepth || ++count_ > kMaxFilters)
      return Reply::no("These saved searches name too many others, or each other.").code("LIMIT");
    std::optional<std::string> text = find_(key.value);
    SearchCommand saved;
    bool good = text.has_value();
    if (good) {
      Cursor cursor(*text, true);
      good = parse_search_program(cursor, saved) && !check_charset(saved);
    }
    if (!good) {
      return Reply::no(text ? "The saved search cannot be read." : "No search is saved under this name.")
          .code("UNDEFINED-FILTER " + key.value);
    }
    command_.numbers |= saved.numbers;
    command_.modseq |= saved.modseq;
    bool negated = key.negated;
    key = std::move(saved.key);
    key.negated = negated;
    return visit(key, depth + 1);
  }

  SearchCommand& command_;
  const FindFilter& find_;
  size_t count_ = 0;
};

}  // namespace

std::optional<Reply> check_charset(SearchCommand& command) {
  if (command.charset.empty() || command.charset == "UTF-8" || command.charset == "US-ASCII") return std::nullopt;
  if (!is_known_charset(command.charset)) {
    return Reply::no("There is no such charset.").code("BADCHARSET (US-ASCII UTF-8)");
  }
  convert_to_utf8(command.key, command.charset);
  return std::nullopt;
}

std::optional<Reply> insert_filters(SearchCommand& command, const FindFilter& find) {
  return Insertion(command, find).visit(command.key, 0);
}

bool is_search(const std::string& text) {
  Cursor cursor(text, true);
  SearchCommand command;
  return parse_search_program(cursor, command) && !check_charset(command);
}

}  // namespace postrider::imap
