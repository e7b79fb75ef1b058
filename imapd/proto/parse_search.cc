// The SEARCH command (RFC 9051 6.4.4; RFC 4731, 5182, 8474, 8514, 9394): a tree of keys, bounded in size and depth.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "imapd/proto/parser.h"

namespace postrider::imap {
namespace {

using Kind = SearchKey::Kind;

struct FlagKey {
  std::string_view name;
  uint8_t system;
  bool negated;
};
constexpr FlagKey kFlagKeys[] = {
    {"ANSWERED", flag::kAnswered, false}, {"DELETED", flag::kDeleted, false}, {"DRAFT", flag::kDraft, false},
    {"FLAGGED", flag::kFlagged, false},   {"SEEN", flag::kSeen, false},       {"UNANSWERED", flag::kAnswered, true},
    {"UNDELETED", flag::kDeleted, true},  {"UNDRAFT", flag::kDraft, true},    {"UNFLAGGED", flag::kFlagged, true},
    {"UNSEEN", flag::kSeen, true},
};

struct NamedKey {
  std::string_view name;
  Kind kind;
};
constexpr NamedKey kDateKeys[] = {
    {"BEFORE", Kind::internal_before},   {"ON", Kind::internal_on},   {"SINCE", Kind::internal_since},
    {"SENTBEFORE", Kind::sent_before},   {"SENTON", Kind::sent_on},   {"SENTSINCE", Kind::sent_since},
    {"SAVEDBEFORE", Kind::saved_before}, {"SAVEDON", Kind::saved_on}, {"SAVEDSINCE", Kind::saved_since}};
constexpr NamedKey kNumberKeys[] = {
    {"LARGER", Kind::larger}, {"SMALLER", Kind::smaller}, {"OLDER", Kind::older}, {"YOUNGER", Kind::younger}};
constexpr NamedKey kTextKeys[] = {{"BODY", Kind::body}, {"TEXT", Kind::text}};
constexpr std::string_view kFieldKeys[] = {"BCC", "CC", "FROM", "SUBJECT", "TO"};

template <size_t N>
const NamedKey* find_key(const NamedKey (&keys)[N], std::string_view name) {
  for (const NamedKey& key : keys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

class SearchParser {
 public:
  SearchParser(Cursor& cursor, SearchCommand& command) : cursor_(cursor), command_(command) {}

  /// One or more keys, all of which must hold, up to the end or a ")".
  bool keys(SearchKey& out, size_t depth) {
    out.kind = Kind::all_of;
    do {
      if (!key(out.children.emplace_back(), depth)) return false;
    } while (cursor_.skip(' '));
    return true;
  }

 private:
  bool key(SearchKey& out, size_t depth) {
    if (++count_ > kMaxSearchKeys) return cursor_.fail("The search has too many keys.");
    if (depth > kMaxSearchDepth) return cursor_.fail("The search is nested too deeply.");
    bool negated = false;
    while (cursor_.skip_word("NOT")) {  // a loop: NOT NOT NOT ... costs no depth
      if (!cursor_.space()) return false;
      negated = !negated;
    }
    bool read = plain_key(out, depth);
    if (negated) out.negated = !out.negated;
    return read;
  }

  bool plain_key(SearchKey& out, size_t depth) {
    char first = cursor_.peek();
    if (first == '(') {
      cursor_.skip('(');
      return keys(out, depth + 1) && cursor_.expect(')');
    }
    if (is_digit(first) || first == '*' || first == '$') {
      out.kind = Kind::sequence;
      command_.numbers |= first != '$';
      return cursor_.sequence_set(out.set);
    }
    std::string name;
    if (!cursor_.word(name)) return false;
    return flag_key(out, name) || named_key(out, name, depth);
  }

  bool flag_key(SearchKey& out, std::string_view name) {
    for (const FlagKey& known : kFlagKeys) {
      if (name != known.name) continue;
      out.kind = Kind::flag;
      out.system = known.system;
      out.negated = known.negated;
      return true;
    }
    return false;
  }

  bool named_key(SearchKey& out, std::string_view name, size_t depth) {
    if (auto* known = find_key(kDateKeys, name)) {
      out.kind = known->kind;
      return cursor_.space() && cursor_.date(out.day);
    }
    if (auto* known = find_key(kNumberKeys, name)) return number_key(out, known->kind);
    if (auto* known = find_key(kTextKeys, name)) {
      out.kind = known->kind;
      return cursor_.space() && cursor_.astring(out.value);
    }
    for (std::string_view field : kFieldKeys) {
      if (name == field) return header_key(out, field);
    }
    return special_key(out, name, depth);
  }

  bool number_key(SearchKey& out, Kind kind) {
    out.kind = kind;
    uint32_t number = 0;
    bool nonzero = kind == Kind::older || kind == Kind::younger;
    if (!cursor_.space() || !(nonzero ? cursor_.nz_number(number) : cursor_.number(number))) return false;
    out.number = number;
    return true;
  }

  bool header_key(SearchKey& out, std::string_view field) {
    out.kind = Kind::header;
    out.field = field;
    return cursor_.space() && cursor_.astring(out.value);
  }

  bool special_key(SearchKey& out, std::string_view name, size_t depth) {
    if (name == "ALL" || name == "SAVEDATESUPPORTED") return true;
    if (name == "RECENT" || name == "OLD") {
      out.kind = Kind::recent;
      out.negated = name == "OLD";
      return true;
    }
    if (name == "NEW") {
      out.kind = Kind::all_of;
      out.children.resize(2);
      out.children[0].kind = Kind::recent;
      out.children[1] = SearchKey{.kind = Kind::flag, .negated = true, .system = flag::kSeen};
      return true;
    }
    if (name == "KEYWORD" || name == "UNKEYWORD") {
      out.kind = Kind::keyword;
      out.negated = name == "UNKEYWORD";
      std::string_view keyword;
      if (!cursor_.space() || !cursor_.atom(keyword)) return false;
      out.value = keyword;
      return true;
    }
    if (name == "UID") {
      out.kind = Kind::uid;
      return cursor_.space() && cursor_.sequence_set(out.set);
    }
    if (name == "UIDAFTER" || name == "UIDBEFORE") return uid_bound(out, name == "UIDAFTER");
    if (name == "EMAILID" || name == "THREADID") {
      out.kind = name == "EMAILID" ? Kind::email_id : Kind::thread_id;
      std::string_view id;
      if (!cursor_.space() || !cursor_.atom(id)) return false;
      out.value = id;
      return true;
    }
    if (name == "FILTER") {
      out.kind = Kind::filter;
      command_.filters = true;
      std::string_view filter;
      if (!cursor_.space() || !cursor_.atom(filter)) return false;
      out.value = lower(filter);
      return true;
    }
    if (name == "HEADER") {
      std::string field;
      return cursor_.space() && cursor_.astring(field) && header_key(out, field);
    }
    if (name == "OR") return or_key(out, depth);
    if (name == "FUZZY") return fuzzy_key(out, depth);
    if (name == "MODSEQ") return modseq_key(out);
    return cursor_.fail(fmt::format("SEARCH knows no key {}.", name));
  }

  /// Greater than a UID, or less than one (RFC 9738 3.2).
  bool uid_bound(SearchKey& out, bool after) {
    uint32_t bound = 0;
    if (!cursor_.space() || !cursor_.nz_number(bound)) return false;
    const bool any = bound != (after ? UINT32_MAX : 1);
    out.kind = any ? Kind::uid : Kind::none;
    if (any) out.set.ranges.push_back(after ? NumberRange{bound + 1, UINT32_MAX} : NumberRange{1, bound - 1});
    return true;
  }

  bool or_key(SearchKey& out, size_t depth) {
    out.kind = Kind::any_of;
    out.children.reserve(2);
    return cursor_.space() && key(out.children.emplace_back(), depth + 1) && cursor_.space() &&
           key(out.children.emplace_back(), depth + 1);
  }

  // search-key =/ "FUZZY" SP search-key (RFC 6203 7)
  bool fuzzy_key(SearchKey& out, size_t depth) {
    command_.fuzzy = true;
    if (!cursor_.space() || !key(out, depth + 1)) return false;
    loosen(out);
    return true;
  }

  static void loosen(SearchKey& key) {
    key.fuzzy = true;
    for (SearchKey& child : key.children) loosen(child);
  }

  // search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer; one modseq a message serves every flag
  bool modseq_key(SearchKey& out) {
    out.kind = Kind::modseq;
    command_.modseq = true;
    if (!cursor_.space()) return false;
    if (cursor_.peek() == '"') {
      std::string entry, type;
      if (!cursor_.string(entry) || !cursor_.space() || !cursor_.word(type) || !cursor_.space()) return false;
      if (type != "PRIV" && type != "SHARED" && type != "ALL")
        return cursor_.fail("MODSEQ's type is priv, shared or all.");
    }
    return cursor_.number64(out.number);
  }

  Cursor& cursor_;
  SearchCommand& command_;
  size_t count_ = 0;
};

bool return_option(Cursor& cursor, ReturnOptions& out) {
  std::string name;
  if (!cursor.word(name)) return false;
  if (name == "MIN") return out.min = true;
  if (name == "MAX") return out.max = true;
  if (name == "ALL") return out.all = true;
  if (name == "COUNT") return out.count = true;
  if (name == "SAVE") return out.save = true;
  if (name == "UPDATE") return out.update = true;
  if (name == "RELEVANCY") return out.relevancy = true;
  if (name == "CONTEXT") return true;  // a hint that it will be asked again (RFC 5267 4.2)
  if (name == "PARTIAL") return cursor.space() && cursor.positions(out.partial.emplace());
  return cursor.fail(fmt::format("SEARCH knows no return option {}.", name));
}

bool return_options(Cursor& cursor, ReturnOptions& out) {
  out.given = true;
  if (!cursor.list([&] { return return_option(cursor, out); }, true)) return false;
  if (out.partial && out.all) return cursor.fail("PARTIAL and ALL exclude each other.");
  // "RETURN ()" is ALL (RFC 4731 3.1).
  out.all |= !out.min && !out.max && !out.count && !out.save && !out.partial && !out.update;
  return true;
}

/// "RETURN (...) ", where it is there.
bool optional_return(Cursor& cursor, ReturnOptions& out) {
  if (!cursor.skip_word("RETURN")) return true;
  return cursor.space() && return_options(cursor, out) && cursor.space();
}

bool charset(Cursor& cursor, SearchCommand& out) {
  if (!cursor.astring(out.charset)) return false;
  out.charset = upper(out.charset);
  return true;
}

/// RFC 6203 4, 6: scores are of what is searched for loosely.
bool relevancy_has_sense(Cursor& cursor, const SearchCommand& command) {
  if (command.fuzzy || !command.options.relevancy) return true;
  return cursor.fail("RELEVANCY is for searches with FUZZY.");
}

// search-criteria = charset 1*(SP search-key)
bool charset_and_keys(Cursor& cursor, SearchCommand& out) {
  return cursor.space() && charset(cursor, out) && cursor.space() && SearchParser(cursor, out).keys(out.key, 0) &&
         cursor.end() && relevancy_has_sense(cursor, out);
}

struct SortName {
  std::string_view name;
  SortKey::Kind kind;
};
constexpr SortName kSortNames[] = {
    {"ARRIVAL", SortKey::Kind::arrival},
    {"CC", SortKey::Kind::cc},
    {"DATE", SortKey::Kind::date},
    {"DISPLAYFROM", SortKey::Kind::display_from},
    {"DISPLAYTO", SortKey::Kind::display_to},
    {"FROM", SortKey::Kind::from},
    {"RELEVANCY", SortKey::Kind::relevancy},
    {"SIZE", SortKey::Kind::size},
    {"SUBJECT", SortKey::Kind::subject},
    {"TO", SortKey::Kind::to},
};

// sort-criterion = ["REVERSE" SP] sort-key
bool sort_key(Cursor& cursor, std::vector<SortKey>& out) {
  if (out.size() >= kMaxSortKeys) return cursor.fail("There are too many sort keys.");
  SortKey& key = out.emplace_back();
  key.reverse = cursor.skip_word("REVERSE");
  std::string name;
  if ((key.reverse && !cursor.space()) || !cursor.word(name)) return false;
  for (const SortName& known : kSortNames) {
    if (name != known.name) continue;
    key.kind = known.kind;
    return true;
  }
  return cursor.fail(fmt::format("SORT knows no key {}.", name));
}

}  // namespace

bool parse_search(Cursor& cursor, SearchCommand& out) {
  return cursor.space() && optional_return(cursor, out.options) && parse_search_program(cursor, out);
}

bool parse_search_program(Cursor& cursor, SearchCommand& out) {
  if (cursor.skip_word("CHARSET")) {
    if (!cursor.space() || !charset(cursor, out) || !cursor.space()) return false;
  }
  return SearchParser(cursor, out).keys(out.key, 0) && cursor.end() && relevancy_has_sense(cursor, out);
}

// esearch = "ESEARCH" [SP "IN" SP "(" source-mbox ")"] [SP search-return-opts] SP search-program
bool parse_esearch(Cursor& cursor, MultiSearchCommand& out) {
  if (!cursor.space()) return false;
  size_t names = 0;
  auto filter = [&] { return parse_mailbox_filter(cursor, out.filters.emplace_back(), names); };
  if (cursor.skip_word("IN") && !(cursor.space() && cursor.list(filter) && cursor.space())) return false;
  out.search.options.all = true;  // unless RETURN says otherwise
  if (istarts_with(cursor.rest(), "RETURN ")) {
    out.search.options = ReturnOptions();
    if (!optional_return(cursor, out.search.options)) return false;
  }
  return parse_search_program(cursor, out.search);
}

// uidbatches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]
bool parse_uid_batches(Cursor& cursor, UidBatchesCommand& out) {
  if (!cursor.space() || !cursor.nz_number(out.size)) return false;
  if (cursor.skip(' ')) {
    NumberRange& range = out.batches.emplace();
    if (!cursor.nz_number(range.first) || !cursor.expect(':') || !cursor.nz_number(range.last)) return false;
  }
  return cursor.end();
}

// sort = ["UID" SP] "SORT" [search-return-opts] SP sort-criteria SP search-criteria
bool parse_sort(Cursor& cursor, SortCommand& out) {
  if (!cursor.space() || !optional_return(cursor, out.search.options)) return false;
  if (!cursor.list([&] { return sort_key(cursor, out.keys); }) || !charset_and_keys(cursor, out.search)) return false;
  out.by_relevancy = std::any_of(out.keys.begin(), out.keys.end(),
                                 [](const SortKey& key) { return key.kind == SortKey::Kind::relevancy; });
  return !out.by_relevancy || out.search.fuzzy || cursor.fail("RELEVANCY is for searches with FUZZY.");
}

// thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria
bool parse_thread(Cursor& cursor, ThreadCommand& out) {
  std::string name;
  if (!cursor.space() || !cursor.word(name)) return false;
  if (name != "REFERENCES" && name != "ORDEREDSUBJECT")
    return cursor.fail("THREAD knows REFERENCES and ORDEREDSUBJECT.", Cursor::Fault::cannot);
  if (name == "ORDEREDSUBJECT") out.algorithm = ThreadCommand::Algorithm::ordered_subject;
  return charset_and_keys(cursor, out.search);
}

}  // namespace postrider::imap
