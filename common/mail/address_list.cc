#include "common/mail/address_list.h"

#include <utility>

#include "common/base/ascii.h"
#include "common/mail/structured.h"

namespace postrider {
namespace {

constexpr std::string_view kAtomEnd = " \t\r\n()<>,;:@\"";

class ListParser {
 public:
  ListParser(std::string_view value, size_t limit) : cursor_(value), limit_(limit) {}

  std::vector<ListedAddress> parse() {
    while (!cursor_.at_end() && list_.size() < limit_) step();
    end_entry();
    end_group();
    return std::move(list_);
  }

 private:
  /// Reads one token and does what it asks for.
  void step() {
    if (cursor_.skip_cfws(&comment_)) {
      blank_ = true;
      return;
    }
    switch (cursor_.peek()) {
      case '<':
        cursor_.advance();
        angle_address();
        break;
      case '@':
        cursor_.advance();
        domain_of_bare_address();
        break;
      case ',':
        cursor_.advance();
        end_entry();
        break;
      case ';':
        cursor_.advance();
        end_entry();
        end_group();
        break;
      case ':':
        cursor_.advance();
        begin_group();
        break;
      case '>':
      case ')':
        cursor_.advance();  // closes nothing
        break;
      default:
        word();
    }
  }

  void word() {
    if (bare_complete_) end_entry();  // "a@b c@d": a comma was forgotten
    if (blank_ && !phrase_.empty()) phrase_ += ' ';
    blank_ = false;
    std::string text = cursor_.at('"') ? cursor_.quoted_string() : std::string(cursor_.until(kAtomEnd));
    phrase_ += text;
    local_ += text;
    seen_ = true;
  }

  std::string domain() {
    std::string out;
    for (;;) {
      cursor_.skip_cfws(&comment_);
      if (cursor_.at('[')) {
        out += cursor_.until("]<>,\r\n");
        if (cursor_.take(']')) out += ']';
        return out;
      }
      auto atom = cursor_.until(kAtomEnd);
      out += atom;
      // Obsolete: blanks and comments around the dots.
      bool dot_before = !atom.empty() && atom.back() == '.';
      cursor_.skip_cfws(&comment_);
      if (!dot_before && !cursor_.at('.')) return out;
      if (atom.empty()) return out;
    }
  }

  void domain_of_bare_address() {
    if (bare_complete_) local_ += "@" + host_;  // "a@b@c"
    host_ = domain();
    phrase_ += "@" + host_;  // in case that "<" follows, and all this was a display name
    bare_complete_ = true;
    seen_ = true;
    blank_ = true;
  }

  void angle_address() {
    ListedAddress address;
    address.name = std::exchange(phrase_, {});
    cursor_.skip_cfws(&comment_);
    if (cursor_.at('@')) {
      address.route = trim(cursor_.until(":>;"));
      cursor_.take(':');
    }
    std::string local;
    bool has_host = false;
    while (!cursor_.at_end() && !cursor_.at('>') && !cursor_.at(';') && !(has_host && cursor_.at(','))) {
      if (cursor_.skip_cfws()) continue;
      if (cursor_.take('@')) {
        if (has_host) local += "@" + address.host;
        address.host = domain();
        has_host = true;
      } else if (cursor_.at('"')) {
        local += cursor_.quoted_string();
      } else {
        auto atom = cursor_.until(kAtomEnd);
        if (atom.empty()) cursor_.advance();  // a special that has no place here
        local += atom;
      }
    }
    cursor_.take('>');
    address.mailbox = std::move(local);
    if (address.name.empty()) address.name = std::move(comment_);
    clear();
    list_.push_back(std::move(address));
    after_angle_ = true;
  }

  void end_entry() {
    if (seen_ && (bare_complete_ || !phrase_.empty()) && !after_angle_) {
      ListedAddress address;
      address.mailbox = bare_complete_ ? std::move(local_) : std::move(phrase_);
      address.host = std::move(host_);
      address.name = std::move(comment_);
      list_.push_back(std::move(address));
    }
    clear();
  }

  void begin_group() {
    end_group();
    ListedAddress mark;
    mark.kind = ListedAddress::Kind::group_begin;
    mark.mailbox = std::move(phrase_);
    list_.push_back(std::move(mark));
    in_group_ = true;
    clear();
  }

  void end_group() {
    if (!std::exchange(in_group_, false)) return;
    ListedAddress mark;
    mark.kind = ListedAddress::Kind::group_end;
    list_.push_back(std::move(mark));
  }

  void clear() {
    phrase_.clear();
    local_.clear();
    host_.clear();
    comment_.clear();
    seen_ = bare_complete_ = blank_ = after_angle_ = false;
  }

  StructuredCursor cursor_;
  size_t limit_;
  std::vector<ListedAddress> list_;
  std::string phrase_;          // the words so far with single blanks between them
  std::string local_;           // the same without blanks: an obsolete local part
  std::string host_;            // of a bare address
  std::string comment_;         // the last one
  bool seen_ = false;           // this entry has a word
  bool bare_complete_ = false;  // this entry has local@host
  bool blank_ = false;          // blanks or a comment stood before the next word
  bool after_angle_ = false;    // the entry is done; words before the comma are junk
  bool in_group_ = false;
};

}  // namespace

std::vector<ListedAddress> parse_address_list(std::string_view value, size_t limit) {
  return ListParser(value, limit).parse();
}

}  // namespace postrider
