#include "common/mail/address.h"

#include "common/base/ascii.h"
#include "common/base/utf8.h"

namespace postrider {
namespace {

/// RFC 5322 3.2.3 atext, without UTF-8.
constexpr bool is_atext(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

/// Octets of the atom character at position: 1 for atext, the length of a UTF-8 sequence, 0 for anything else.
size_t atom_character(std::string_view text, size_t position, Utf8 utf8) {
  char c = text[position];
  if (is_8bit(c)) return utf8 == Utf8::allowed ? utf8_sequence(text, position) : 0;
  return is_atext(c) ? 1 : 0;
}

std::string eight_bit_advice(Utf8 utf8) {
  return utf8 == Utf8::allowed ? "the address is not valid UTF-8"
                               : "an address with non-ASCII characters needs the SMTPUTF8 option";
}

/// A cursor over a path or mailbox; what it reads it takes away from the front.
class Cursor {
 public:
  Cursor(std::string_view text, Utf8 utf8) : text_(text), utf8_(utf8) {}

  size_t position() const { return position_; }
  bool at_end() const { return position_ == text_.size(); }
  bool at(char c) const { return !at_end() && text_[position_] == c; }
  bool take(char c) {
    if (!at(c)) return false;
    ++position_;
    return true;
  }

  Result<std::string> local_part() {
    auto name = at('"') ? quoted_string() : dot_string();
    if (!name) return name;
    if (name->empty()) return failure("the local part of the address is empty");
    if (name->size() > kMaxLocalPart) return failure("the local part of the address is longer than 64 octets");
    return name;
  }

  /// Domain or address-literal, up to what can be no part of it.
  Result<std::string> domain() {
    size_t begin = position_;
    if (at('[')) {
      size_t end = text_.find(']', begin);
      if (end == std::string_view::npos) return failure("the address literal has no closing bracket");
      auto literal = text_.substr(begin, end + 1 - begin);
      if (!is_address_literal(literal)) return failure("the address literal holds no IP address");
      position_ = end + 1;
      return std::string(literal);
    }
    while (!at_end() && std::string_view("<>,:@ \t\"()[]\\;").find(text_[position_]) == std::string_view::npos)
      ++position_;
    auto name = text_.substr(begin, position_ - begin);
    if (name.empty()) return failure("the address has no domain");
    if (name.size() > kMaxDomain) return failure("the domain of the address is longer than 255 octets");
    if (has_8bit(name) && (utf8_ == Utf8::refused || !is_valid_utf8(name))) return failure(eight_bit_advice(utf8_));
    if (!is_domain(name, utf8_)) return failure("the domain of the address is not a valid domain name");
    return std::string(name);
  }

  /// A-d-l ":" of RFC 5321, read over. Nothing is kept of it, so its hosts are not looked at closely.
  bool source_route() {
    size_t colon = position_;
    while (colon < text_.size() && text_[colon] != ':') {
      char c = text_[colon];
      if (is_ctl(c) || c == ' ' || c == '<' || c == '>' || c == '"') return false;
      if (++colon - position_ > kMaxSourceRoute) return false;
    }
    if (colon == text_.size()) return false;
    auto route = text_.substr(position_, colon - position_);
    position_ = colon + 1;
    return route_is_hosts(route);
  }

 private:
  bool route_is_hosts(std::string_view route) const {
    while (!route.empty()) {
      auto host = route.substr(0, route.find(','));
      if (host.size() < 2 || host.front() != '@') return false;
      if (!is_domain(host.substr(1), utf8_) && !is_address_literal(host.substr(1))) return false;
      if (host.size() == route.size()) return true;
      route.remove_prefix(host.size() + 1);
    }
    return false;
  }

  Result<std::string> dot_string() {
    size_t begin = position_;
    bool atom_begins = true;
    while (!at_end()) {
      if (at('.') && !atom_begins) {
        atom_begins = true;
        ++position_;
        continue;
      }
      size_t size = atom_character(text_, position_, utf8_);
      if (size == 0) break;
      position_ += size;
      atom_begins = false;
    }
    if (!at_end() && is_8bit(text_[position_])) return failure(eight_bit_advice(utf8_));
    if (position_ > begin && atom_begins) return failure("the local part of the address ends with a dot");
    return std::string(text_.substr(begin, position_ - begin));
  }

  Result<std::string> quoted_string() {
    std::string name;
    for (++position_; !at_end(); ++position_) {
      char c = text_[position_];
      if (c == '"') {
        ++position_;
        return name;
      }
      if (c == '\\') {
        if (++position_ == text_.size()) break;
        c = text_[position_];
      }
      if (is_ctl(c)) return failure("the local part of the address has a control character");
      if (is_8bit(c)) {
        size_t size = utf8_ == Utf8::allowed ? utf8_sequence(text_, position_) : 0;
        if (size == 0) return failure(eight_bit_advice(utf8_));
        name += text_.substr(position_, size);
        position_ += size - 1;
        continue;
      }
      name += c;
    }
    return failure("the quoted local part of the address has no end");
  }

  std::string_view text_;
  Utf8 utf8_;
  size_t position_ = 0;
};

Result<Address> take_mailbox(Cursor& cursor, bool domain_optional) {
  Address address;
  auto local_part = cursor.local_part();
  if (!local_part) return tl::unexpected(local_part.error());
  address.local_part = std::move(*local_part);
  if (!cursor.take('@')) {
    if (domain_optional && iequals(address.local_part, "postmaster")) return address;
    return failure("the address has no @domain");
  }
  auto domain = cursor.domain();
  if (!domain) return tl::unexpected(domain.error());
  address.domain = std::move(*domain);
  return address;
}

enum class Direction { reverse, forward };

Result<Path> parse_path(std::string_view text, Utf8 utf8, Direction direction) {
  Cursor cursor(text, utf8);
  if (!cursor.take('<')) return failure("the address must stand in angle brackets");
  if (cursor.take('>')) {
    if (direction == Direction::forward) return failure("the null address <> can receive no mail");
    return Path{std::nullopt, cursor.position()};
  }
  if (cursor.at('@') && !cursor.source_route()) return failure("the source route of the address is malformed");
  size_t begin = cursor.position();
  auto address = take_mailbox(cursor, direction == Direction::forward);
  if (!address) return tl::unexpected(address.error());
  if (!cursor.take('>')) return failure("the address has no closing angle bracket, or a character that must be quoted");
  if (cursor.position() - begin + 1 > kMaxPath) return failure("the address is longer than 256 octets");
  return Path{std::move(*address), cursor.position()};
}

}  // namespace

std::string Address::to_string() const {
  std::string out = quote_local_part(local_part);
  if (domain.empty()) return out;
  out += '@';
  out += domain;
  return out;
}

bool Address::needs_utf8() const {
  return has_8bit(local_part) || has_8bit(domain);
}

Result<Path> parse_reverse_path(std::string_view text, Utf8 utf8) {
  return parse_path(text, utf8, Direction::reverse);
}

Result<Path> parse_forward_path(std::string_view text, Utf8 utf8) {
  return parse_path(text, utf8, Direction::forward);
}

Result<Address> parse_mailbox(std::string_view text, Utf8 utf8) {
  Cursor cursor(text, utf8);
  auto address = take_mailbox(cursor, false);
  if (!address) return address;
  if (!cursor.at_end()) return failure("the address has a character that must be quoted, or text behind its end");
  if (text.size() + 2 > kMaxPath) return failure("the address is longer than 256 octets");
  return address;
}

std::string quote_local_part(std::string_view local_part) {
  bool quoted = local_part.empty() || local_part.front() == '.' || local_part.back() == '.' ||
                local_part.find("..") != std::string_view::npos;
  for (char c : local_part) quoted = quoted || !(is_8bit(c) || is_atext(c) || c == '.');
  if (!quoted) return std::string(local_part);
  std::string out = "\"";
  for (char c : local_part) {
    if (is_ctl(c)) continue;  // cannot be written in SMTP at all; parsing never lets one in
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  return out;
}

}  // namespace postrider
