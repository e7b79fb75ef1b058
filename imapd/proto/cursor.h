// A cursor over one complete command: a method for each rule of the grammar that more than one command uses (RFC 3501
// 9).
//
// Each method takes its rule and says true, or says false and leaves error() behind; the first error stays. So a
// command is read as one chain: cursor.space() && cursor.mailbox(name) && cursor.end().
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "imapd/proto/command.h"

namespace postrider::imap {

class Cursor {
 public:
  enum class Fault {
    syntax,  // answered BAD
    cannot,  // well-formed, but never to be had here: answered NO [CANNOT]
  };

  /// text: a command as the framer gives it, literals in it. utf8: names and strings may be UTF-8 (RFC 6855).
  explicit Cursor(std::string_view text, bool utf8 = false) : text_(text), utf8_(utf8) {}

  // --- looking
  bool at_end() const { return at_ == text_.size(); }
  /// NUL at the end.
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  std::string_view rest() const { return text_.substr(at_); }

  // --- taking what is there; nothing is wrong when it is not
  bool skip(char c);
  /// A whole word, in any case; followed by something that cannot go on a word.
  bool skip_word(std::string_view word);

  // --- taking what must be there
  bool expect(char c);
  bool space() { return expect(' '); }
  bool end();
  bool tag(std::string& out);
  /// Letters, digits and what else an atom has; not empty.
  bool atom(std::string_view& out);
  /// A command or option name: an atom in upper case, without octets that end a word in lists and sections.
  bool word(std::string& out);
  bool number(uint32_t& out);
  bool nz_number(uint32_t& out);
  bool number64(uint64_t& out);
  bool string(std::string& out);
  bool astring(std::string& out);
  bool nstring(std::optional<std::string>& out);
  /// nstring / literal8: any octets (RFC 5464 5, value).
  bool nstring8(std::optional<std::string>& out);
  bool mailbox(std::string& out);
  /// list-mailbox: an atom that may hold wildcards, or a string.
  bool list_mailbox(std::string& out);
  bool sequence_set(SequenceSet& out);
  /// "1:100" or "-1:-100" (RFC 9394 4).
  bool positions(Positions& out);
  bool flag(FlagNames& out);
  bool flag_list(FlagNames& out);
  bool date(int64_t& out);
  bool date_time(UnixTime& out);
  /// "(" item SP item ... ")"; at least one unless empty_allowed.
  template <class Item>
  bool list(Item&& item, bool empty_allowed = false) {
    if (!expect('(')) return false;
    if (empty_allowed && skip(')')) return true;
    do {
      if (!item()) return false;
    } while (skip(' '));
    return expect(')');
  }

  /// Always false, so that a rule can end with it.
  bool fail(std::string_view what, Fault fault = Fault::syntax);
  const std::string& error() const { return error_; }
  Fault fault() const { return fault_; }

 private:
  bool quoted(std::string& out);
  bool literal(std::string& out, bool nul_allowed = false);
  bool run(std::string_view& out, bool (*allowed)(char), std::string_view what);
  bool sequence_number(uint32_t& out);
  bool mailbox_text(std::string& text);

  std::string_view text_;
  size_t at_ = 0;
  bool utf8_;
  std::string error_;
  Fault fault_ = Fault::syntax;
};

}  // namespace postrider::imap
