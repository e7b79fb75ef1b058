#include "tests/fuzz/imap_grammar.h"

#include <algorithm>
#include <cstring>

#include "tests/fuzz/must.h"

namespace postrider::fuzz {
namespace {

constexpr int kMaxDepth = 2'000;  // of lists: threads nest a thousand

/// The stream ends within a response.
struct MoreNeeded {};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  std::string_view rest() const { return text_; }
  char peek() const {
    if (text_.empty()) throw MoreNeeded();
    return text_.front();
  }
  bool skip(std::string_view what) {
    if (text_.size() < what.size() && what.starts_with(text_)) throw MoreNeeded();
    if (!text_.starts_with(what)) return false;
    text_.remove_prefix(what.size());
    return true;
  }
  void expect(std::string_view what, const char* why) { must(skip(what), why); }

  /// Items up to stop, which stays: ")" or the line end. "(a)(b)" may touch.
  std::vector<Item> items(int depth) {
    must(depth < kMaxDepth, "lists without end");
    std::vector<Item> items;
    while (peek() != ')' && peek() != '\r') {
      const bool touching = !items.empty() && items.back().kind == Item::Kind::list && peek() == '(';
      if (!items.empty() && !touching) {
        expect(" ", "items are parted by one space");
        must(peek() != ' ' && peek() != ')' && peek() != '\r', "a space with nothing behind it");
      }
      items.push_back(item(depth));
    }
    return items;
  }

  /// Up to the line end, with it: one line for people.
  std::string line() {
    const size_t end = text_.find("\r\n");
    if (end == std::string_view::npos) throw MoreNeeded();
    std::string line(text_.substr(0, end));
    for (const char c : line) must(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', "a control character in text");
    text_.remove_prefix(end + 2);
    return line;
  }

  std::string word() {
    std::string word;
    while (peek() != ' ' && peek() != '\r') {
      must(static_cast<unsigned char>(peek()) > ' ' && std::strchr("(){%*\"\\", peek()) == nullptr, "no word");
      word += peek();
      text_.remove_prefix(1);
    }
    must(!word.empty(), "an empty word");
    return word;
  }

 private:
  Item item(int depth) {
    Item item;
    if (skip("(")) {
      item.kind = Item::Kind::list;
      item.items = items(depth + 1);
      expect(")", "a list ends");
    } else if (peek() == '"' || peek() == '{' || (peek() == '~' && text_.starts_with("~{"))) {
      item.kind = Item::Kind::string;
      item.text = string();
    } else {
      item.text = atom();
    }
    return item;
  }

  std::string string() {
    std::string text;
    if (skip("\"")) {
      while (!skip("\"")) {
        if (skip("\\")) must(peek() == '"' || peek() == '\\', "a backslash before something else");
        must(peek() != '\r' && peek() != '\n' && peek() != '\0', "a line end within quotes");
        text += peek();
        text_.remove_prefix(1);
      }
      return text;
    }
    skip("~");
    expect("{", "a literal");
    uint64_t size = 0;
    const std::string digits = number();
    for (const char digit : digits) size = size * 10 + static_cast<uint64_t>(digit - '0');
    expect("}\r\n", "a literal's head ends");
    if (text_.size() < size) throw MoreNeeded();
    text = text_.substr(0, size);
    text_.remove_prefix(size);
    return text;
  }

  std::string number() {
    std::string digits;
    while (peek() >= '0' && peek() <= '9') {
      digits += peek();
      text_.remove_prefix(1);
    }
    must(!digits.empty() && digits.size() < 12, "no number");
    return digits;
  }

  std::string atom() {
    std::string atom;
    int brackets = 0;
    for (;;) {
      const char c = peek();
      if (c == '\r' || (brackets == 0 && (c == ' ' || c == ')' || c == '('))) break;
      if (brackets > 0 && (c == '"' || c == '{')) {
        atom += '"' + string() + '"';
        continue;
      }
      must(static_cast<unsigned char>(c) > ' ' || (brackets > 0 && c == ' '), "a control character in an atom");
      must(c != '\x7f' && c != '"' && c != '{', "no atom");
      if (c == '[') ++brackets;
      if (c == ']') --brackets;
      must(brackets >= 0, "a bracket that closes nothing");
      atom += c;
      text_.remove_prefix(1);
    }
    must(!atom.empty() && brackets == 0, "an atom that ends early");
    return atom;
  }

  std::string_view text_;
};

bool is_status(std::string_view word) {
  return word == "OK" || word == "NO" || word == "BAD" || word == "BYE" || word == "PREAUTH";
}

void read_status(Reader& reader, Response& response) {
  std::string line = reader.line();
  must(line.starts_with(' '), "a status without text");
  line.erase(0, 1);
  if (line.starts_with('[')) {
    const size_t end = line.find("] ");
    must(end != std::string::npos, "a response code without text behind it");
    response.code = line.substr(1, end - 1);
    line.erase(0, end + 2);
    must(!response.code.empty(), "an empty response code");
  }
  must(!line.empty(), "a status without text");
  response.text = std::move(line);
}

}  // namespace

std::optional<uint64_t> Item::number() const {
  if (kind != Kind::atom || text.empty() || text.size() > 19) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

std::optional<Response> take_response(std::string_view& stream) {
  if (stream.empty()) return std::nullopt;
  try {
    Reader reader(stream);
    Response response;
    if (reader.skip("+")) {
      response.kind = Response::Kind::continuation;
      reader.expect(" ", "a continuation is \"+ \" and text");
      response.text = reader.line();
    } else if (reader.skip("* ")) {
      Reader ahead = reader;
      const std::string word = ahead.word();
      if (is_status(word)) {
        response.status = word;
        read_status(ahead, response);
        reader = ahead;
      } else {
        response.items = reader.items(0);
        must(!response.items.empty(), "an empty response");
        reader.expect("\r\n", "a response ends with its line");
      }
    } else {
      response.kind = Response::Kind::tagged;
      response.tag = reader.word();
      reader.expect(" ", "a tag and a status");
      response.status = reader.word();
      must(response.status == "OK" || response.status == "NO" || response.status == "BAD", "a tagged status");
      read_status(reader, response);
    }
    stream = reader.rest();
    return response;
  } catch (const MoreNeeded&) {
    return std::nullopt;
  }
}

std::vector<Item> must_be_items(std::string_view text) {
  const std::string line = std::string(text) + "\r\n";
  try {
    Reader reader(line);
    std::vector<Item> items = reader.items(0);
    must(reader.rest() == "\r\n", "something behind the items");
    return items;
  } catch (const MoreNeeded&) {
    must(false, "an item without end");
  }
  return {};
}

}  // namespace postrider::fuzz
