// How a command ends: its tagged response.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "imapd/proto/cursor.h"
#include "imapd/proto/writer.h"
#include "store/account.h"

namespace postrider::imap {

class Reply {
 public:
  static Reply ok(std::string_view text) { return Reply("OK", text); }
  /// For commands that change mail or mailboxes: nobody hears OK before the change is on disk.
  static Reply done(const store::Flushed&, std::string_view text) { return Reply("OK", text); }
  static Reply no(std::string_view text) { return Reply("NO", text); }
  static Reply bad(std::string_view text) { return Reply("BAD", text); }
  /// What the parser has to say.
  static Reply refused(const Cursor& cursor) {
    bool syntax = cursor.fault() == Cursor::Fault::syntax;
    return syntax ? bad(cursor.error()) : std::move(no(cursor.error()).code("CANNOT"));
  }

  /// A response code, without brackets (RFC 3501 7.1, RFC 5530).
  Reply& code(std::string text) {
    code_ = std::move(text);
    return *this;
  }
  bool has_code() const { return !code_.empty(); }
  bool is_ok() const { return status_ == "OK"; }
  bool is_bad() const { return status_ == "BAD"; }

  void append_to(std::string& out, std::string_view tag) const {
    append_format(out, "{} {} ", tag, status_);
    if (!code_.empty()) append_format(out, "[{}] ", code_);
    append_text(out, text_);
    out += "\r\n";
  }

 private:
  Reply(std::string_view status, std::string_view text) : status_(status), text_(text) {}
  std::string_view status_;
  std::string code_;
  std::string text_;
};

/// The answer for what the store would not do (RFC 5530). try_create: the mailbox is a target (RFC 3501 6.3.11).
Reply reply_for(const store::StoreFailure& failure, bool try_create = false);

}  // namespace postrider::imap
