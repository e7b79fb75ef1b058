// mbox, as RFC 4155 and mboxrd have it: messages one after another, each behind a line "From sender date"; a line of
// the message that begins with "From ", behind any number of ">", has one ">" more. Flags are in the fields Status,
// X-Status and X-Keywords. Pure; lines of any length pass in bounded memory.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"

namespace postrider::mailctl {

constexpr size_t kMaxLinePart = 64 << 10;     // octets of a line that are looked at together
constexpr size_t kMaxStatusField = 16 << 10;  // octets of a field with flags that are read

struct LinePart {
  std::string_view text;  // with its LF, when it is the last part
  bool first = false;
  bool last = false;
  /// A whole line with nothing in it. The last one may lack its LF; who writes it adds that.
  bool blank() const { return first && last && (text == "\n" || text == "\r\n" || text == "\r"); }
};

/// Parts text into lines, whatever pieces it comes in.
class Lines {
 public:
  template <class Visit>
  void feed(std::string_view piece, Visit&& visit) {
    while (!piece.empty()) {
      const size_t end = piece.find('\n');
      const size_t room = kMaxLinePart - line_.size();
      const size_t size = std::min(end == std::string_view::npos ? piece.size() : end + 1, room);
      line_ += piece.substr(0, size);
      piece.remove_prefix(size);
      const bool whole = line_.ends_with('\n');
      if (whole || line_.size() == kMaxLinePart) part(visit, whole);
    }
  }
  template <class Visit>
  void finish(Visit&& visit) {
    if (!line_.empty()) part(visit, true);
  }

 private:
  template <class Visit>
  void part(Visit&& visit, bool last) {
    visit(LinePart{line_, first_, last});
    first_ = last;
    line_.clear();
  }
  std::string line_;
  bool first_ = true;  // what comes begins a line
};

/// The fields of a header that hold flags. The first of a name counts; all are left out of the message.
class StatusFields {
 public:
  /// A part of a line of the header. True: it is of such a field.
  bool take(const LinePart& line);
  uint64_t flags() const;  // store::Flags' system bits
  std::vector<std::string> keywords() const;
  /// Not a message, but what some servers keep of the folder in front of the messages.
  bool is_folder_data() const { return !values_[kFolderData].empty(); }

 private:
  enum Field : size_t { kStatus, kXStatus, kKeywords, kFolderData, kOther, kNone };
  std::array<std::string, kNone> values_;
  Field current_ = kNone;
  bool counts_ = false;  // the first of its name
};

/// The date of a line "From sender Thu Jan  1 00:00:00 1970"; nothing: it is no such line.
std::optional<UnixTime> parse_from_line(std::string_view line);
/// sender: an address, or empty.
std::string format_from_line(std::string_view sender, UnixTime date);

/// What a reader finds.
class MboxVisitor {
 public:
  virtual ~MboxVisitor() = default;
  virtual void begin(std::string_view from_line, UnixTime date) = 0;
  virtual void text(std::string_view piece) = 0;
  virtual void end(const StatusFields& status) = 0;
};

class MboxReader {
 public:
  explicit MboxReader(MboxVisitor& visitor) : visitor_(visitor) {}
  void feed(std::string_view piece);
  void finish();
  /// There was text before the first message.
  bool has_stray_text() const { return stray_; }

 private:
  void take(const LinePart& line);
  void end_message();

  MboxVisitor& visitor_;
  Lines lines_;
  StatusFields status_;
  std::string blank_;  // a line that may belong to the next "From " line
  bool in_message_ = false, in_header_ = false, stray_ = false;
};

/// One message for an mbox. text(): with LF line ends.
class MboxWriter {
 public:
  void begin(std::string_view sender, UnixTime date, uint64_t flags, const std::vector<std::string>& keywords,
             std::string& out);
  void text(std::string_view piece, std::string& out);
  void end(std::string& out);

 private:
  void take(const LinePart& line, std::string& out);

  Lines lines_;
  StatusFields status_;
  std::string fields_;  // at the end of the header: a first line that is folded must not go on with one of them
  bool in_header_ = true, ended_ = true;
};

}  // namespace postrider::mailctl
