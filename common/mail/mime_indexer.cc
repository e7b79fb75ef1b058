// The streaming half of mime_index.h. Bodies are run through by memchr from line to line; only a line that begins with
// "--" while a boundary is awaited is looked at. Header blocks are collected, up to a limit, and interpreted where they
// end.
#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/bodystructure.h"
#include "common/mail/envelope.h"
#include "common/mail/mime_index.h"
#include "common/mail/part_header.h"

namespace postrider {
namespace {

constexpr size_t kMaxBoundaryLine =
    kMaxBoundary + 256;                          // octets of a line that is held back to be compared, with its padding
constexpr size_t kMaxDescriptionText = 1 << 20;  // octets of header text in a BODYSTRUCTURE; beyond it parts have NIL

/// LFs in bytes. Counted in octets of at most 255 so that the compiler can use vectors of octets.
uint64_t count_lines(std::string_view bytes) {
  uint64_t lines = 0;
  for (size_t begin = 0; begin < bytes.size(); begin += 255) {
    uint8_t found = 0;
    for (char c : bytes.substr(begin, 255)) found = static_cast<uint8_t>(found + (c == '\n' ? 1 : 0));
    lines += found;
  }
  return lines;
}

}  // namespace

class MimeIndexer::Impl {
 public:
  Impl() { open_part(0, 1, false); }

  void feed(std::string_view bytes) {
    while (!bytes.empty()) bytes.remove_prefix(line_begins_ ? begin_line(bytes) : run_through(bytes));
  }

  MimeSummary finish();

 private:
  /// A part that has begun and not ended. The innermost is the last; only that can be in its header.
  struct Open {
    uint32_t part = 0;
    uint32_t children = 0;
    bool in_header = true;
    bool in_digest = false;  // stands in a multipart/digest
    std::string boundary;    // that is awaited; empty: none, or it was closed
    uint64_t lines_before_body = 0;
  };

  size_t begin_line(std::string_view bytes);
  size_t run_through(std::string_view bytes);
  bool may_be_special(std::string_view begin) const;
  void take_line(std::string_view line);
  void take_text(std::string_view text);
  bool take_boundary(std::string_view content, size_t line_size);
  void open_part(uint32_t parent, uint32_t number, bool in_digest);
  void end_header(size_t line_size);
  void interpret_header(Open& open);
  void close_parts(size_t keep, uint64_t end);
  PartDescription describe(PartHeader&& header);
  void show_as_text(uint32_t index);

  Open& top() { return open_.back(); }
  MimePart& part_of(const Open& open) { return summary_.index.parts[open.part]; }

  MimeSummary summary_;
  std::vector<PartDescription> descriptions_;
  std::vector<Open> open_;
  size_t boundaries_ = 0;        // that are awaited
  size_t description_text_ = 0;  // octets of header text kept in descriptions_
  std::string header_;           // of the innermost part, up to kMaxHeaderBlock
  std::string held_;             // the beginning of a line that may be special, cut by the end of a piece
  uint64_t offset_ = 0;          // of the first octet that is not taken yet (those in held_ are not)
  uint64_t lines_ = 0;           // LFs before offset_
  uint64_t last_line_end_ = 0;   // octets of the line end before offset_, where a line begins
  bool line_begins_ = true;
  bool after_cr_ = false;  // the last octet taken was CR
};

/// bytes are at the beginning of a line, or go on with the one in held_. Gives how many of them were dealt with.
size_t MimeIndexer::Impl::begin_line(std::string_view bytes) {
  if (held_.empty() && !may_be_special(bytes)) {
    line_begins_ = false;
    return 0;
  }
  auto window = bytes.substr(0, kMaxBoundaryLine - held_.size());
  size_t lf = window.find('\n');
  auto piece = window.substr(0, lf == std::string_view::npos ? lf : lf + 1);
  if (lf != std::string_view::npos && held_.empty()) {
    take_line(piece);
    return piece.size();
  }
  held_ += piece;
  if (lf != std::string_view::npos) {
    take_line(std::exchange(held_, {}));
  } else if (!may_be_special(held_) || held_.size() == kMaxBoundaryLine) {
    take_text(std::exchange(held_, {}));
  }
  return piece.size();
}

/// Whether the line that begins so can be the empty line of a header, or a boundary.
bool MimeIndexer::Impl::may_be_special(std::string_view begin) const {
  if (boundaries_ > 0 && begin.front() == '-') return begin.size() < 2 || begin[1] == '-';
  if (!open_.back().in_header) return false;
  return begin.front() == '\n' || (begin.front() == '\r' && (begin.size() < 2 || begin[1] == '\n'));
}

void MimeIndexer::Impl::take_line(std::string_view line) {
  auto content = line;
  if (content.ends_with('\n')) {
    content.remove_suffix(1);
    if (content.ends_with('\r')) content.remove_suffix(1);
  }
  if (content.starts_with("--") && take_boundary(content, line.size())) return;
  if (top().in_header && content.empty()) {
    end_header(line.size());
  } else {
    take_text(line);
  }
}

/// Takes what is no boundary and no end of a header, up to the beginning of a line that may be one.
size_t MimeIndexer::Impl::run_through(std::string_view bytes) {
  bool in_header = top().in_header;
  const char* begin = bytes.data();
  const char* end = begin + bytes.size();
  if (!in_header && boundaries_ == 0) {  // nothing can come any more but text
    lines_ += count_lines(bytes);
    offset_ += bytes.size();
    return bytes.size();
  }
  const char* at = begin;
  line_begins_ = false;
  while (at < end) {
    const void* found = std::memchr(at, '\n', static_cast<size_t>(end - at));
    if (found == nullptr) {
      at = end;
      break;
    }
    const char* lf = static_cast<const char*>(found);
    ++lines_;
    at = lf + 1;
    if (at < end && *at != '-' && (!in_header || (*at != '\r' && *at != '\n'))) continue;
    bool crlf = lf > begin ? lf[-1] == '\r' : after_cr_;
    last_line_end_ = crlf ? 2 : 1;
    line_begins_ = true;
    break;
  }
  auto size = static_cast<size_t>(at - begin);
  if (size > 0) after_cr_ = at[-1] == '\r';
  if (in_header) header_.append(begin, std::min(size, kMaxHeaderBlock - header_.size()));
  offset_ += size;
  return size;
}

/// Takes a line, or the beginning of one, that was held back and is nothing special.
void MimeIndexer::Impl::take_text(std::string_view text) {
  if (top().in_header) header_.append(text.substr(0, kMaxHeaderBlock - header_.size()));
  offset_ += text.size();
  line_begins_ = text.ends_with('\n');
  if (line_begins_) {
    ++lines_;
    last_line_end_ = text.ends_with("\r\n") ? 2 : 1;
  }
  after_cr_ = text.ends_with('\r');
}

/// content: a line without its line end that begins with "--". False where it is no delimiter that is awaited (RFC
/// 2046 5.1.1). The whole line has to fit, so that a boundary that begins like another one is never taken for it.
bool MimeIndexer::Impl::take_boundary(std::string_view content, size_t line_size) {
  content = content.substr(2);
  size_t last = content.find_last_not_of(" \t");
  content = content.substr(0, last == std::string_view::npos ? 0 : last + 1);
  for (size_t i = open_.size(); i-- > 0;) {
    const auto& boundary = open_[i].boundary;
    if (boundary.empty() || !content.starts_with(boundary)) continue;
    bool closes = content.size() == boundary.size() + 2 && content.ends_with("--");
    if (!closes && content.size() != boundary.size()) continue;

    close_parts(i + 1, offset_ - last_line_end_);
    offset_ += line_size;
    ++lines_;
    last_line_end_ = 0;  // a delimiter that follows at once takes nothing from this line
    line_begins_ = true;
    after_cr_ = false;
    Open& multipart = open_[i];
    if (closes) {
      multipart.boundary.clear();
      --boundaries_;
    } else if (summary_.index.parts.size() < kMaxMimeParts) {
      open_part(multipart.part, ++multipart.children, part_of(multipart).subtype == "digest");
    }
    return true;
  }
  return false;
}

void MimeIndexer::Impl::open_part(uint32_t parent, uint32_t number, bool in_digest) {
  Open open;
  open.part = static_cast<uint32_t>(summary_.index.parts.size());
  open.in_digest = in_digest;
  MimePart part;
  part.parent = parent;
  part.number = number;
  part.header_offset = offset_;
  summary_.index.parts.push_back(std::move(part));
  descriptions_.emplace_back();
  open_.push_back(std::move(open));
  header_.clear();
}

/// The empty line of the innermost part's header, line_size octets, comes next.
void MimeIndexer::Impl::end_header(size_t line_size) {
  offset_ += line_size;
  ++lines_;
  last_line_end_ = line_size;
  line_begins_ = true;
  after_cr_ = false;
  interpret_header(top());
  Open& open = top();
  open.in_header = false;
  open.lines_before_body = lines_;
  MimePart& part = part_of(open);
  part.header_size = offset_ - part.header_offset;
  if (part.kind == PartKind::message) {
    open.children = 1;
    open_part(open.part, 1, false);
  }
}

void MimeIndexer::Impl::interpret_header(Open& open) {
  // A field that was cut by the limit is not looked at.
  if (header_.size() == kMaxHeaderBlock) header_.resize(header_.rfind('\n') + 1);
  PartHeader header = read_part_header(header_, open.in_digest);
  MimePart& part = part_of(open);
  part.type = std::move(header.type);
  part.subtype = std::move(header.subtype);
  part.charset = std::move(header.charset);
  part.encoding = std::move(header.encoding);

  bool has_boundary = !header.boundary.empty();
  bool may_nest = open_.size() <= kMaxMimeDepth && summary_.index.parts.size() < kMaxMimeParts;
  bool identity =
      part.encoding.empty() || part.encoding == "7bit" || part.encoding == "8bit" || part.encoding == "binary";
  if (may_nest && part.type == "multipart" && has_boundary) {
    part.kind = PartKind::multipart;
    open.boundary = std::move(header.boundary);
    ++boundaries_;
  } else if (may_nest && identity && part.type == "message" && part.subtype == "rfc822") {
    part.kind = PartKind::message;
  }

  if (open.part == 0) {
    summary_.envelope = make_envelope(header_);
  } else if (auto& parent = summary_.index.parts[part.parent]; parent.kind == PartKind::message) {
    std::string envelope = make_envelope(header_);
    if (description_text_ + envelope.size() <= kMaxDescriptionText) {
      description_text_ += envelope.size();
      descriptions_[part.parent].envelope = std::move(envelope);
    }
  }
  descriptions_[open.part] = describe(std::move(header));
  if (part.type == "multipart" && !has_boundary) show_as_text(open.part);
}

PartDescription MimeIndexer::Impl::describe(PartHeader&& header) {
  PartDescription description;
  size_t size = header.parameters.size() + header.identity.size() + header.md5.size() + header.extension.size();
  if (description_text_ + size > kMaxDescriptionText) return description;
  description_text_ += size;
  description.parameters = std::move(header.parameters);
  description.identity = std::move(header.identity);
  description.md5 = std::move(header.md5);
  description.extension = std::move(header.extension);
  return description;
}

/// Ends all but the outermost keep parts. end is where their text ends: before the line end that belongs to the
/// delimiter. It moves on where that line end is the empty line of a header, for that belongs to the header.
void MimeIndexer::Impl::close_parts(size_t keep, uint64_t end) {
  for (; open_.size() > keep; open_.pop_back()) {
    Open& open = top();
    if (open.in_header) {  // there was no empty line
      end = std::max(end, part_of(open).header_offset);
      interpret_header(open);
      MimePart& part = part_of(open);
      part.header_size = end - part.header_offset;
      if (part.kind == PartKind::message) part.kind = PartKind::leaf;
    } else {
      MimePart& part = part_of(open);
      end = std::max(end, part.body_offset());
      part.body_size = end - part.body_offset();
      part.body_lines = lines_ - (end < offset_ ? 1 : 0) - open.lines_before_body;
    }
    if (!open.boundary.empty()) --boundaries_;
    if (part_of(open).kind == PartKind::multipart && open.children == 0) show_as_text(open.part);
  }
}

/// A multipart without any part would be a list of nothing, which breaks clients; as text its content can be read.
void MimeIndexer::Impl::show_as_text(uint32_t index) {
  MimePart& part = summary_.index.parts[index];
  part.kind = PartKind::leaf;
  part.type = "text";
  part.subtype = "plain";
  descriptions_[index].parameters = kAsciiParameters;
}

MimeSummary MimeIndexer::Impl::finish() {
  if (!held_.empty()) take_line(std::exchange(held_, {}));
  // The text ends here with whatever line end it has; nothing of it belongs to a delimiter.
  close_parts(0, offset_);
  summary_.size = offset_;
  summary_.head_size = summary_.index.parts.front().header_size;
  summary_.bodystructure = make_bodystructure(summary_.index, descriptions_);
  return std::move(summary_);
}

MimeIndexer::MimeIndexer() : impl_(std::make_unique<Impl>()) {}
MimeIndexer::~MimeIndexer() = default;

void MimeIndexer::feed(std::string_view bytes) {
  impl_->feed(bytes);
}

MimeSummary MimeIndexer::finish() {
  MimeSummary summary = impl_->finish();
  impl_ = std::make_unique<Impl>();
  return summary;
}

}  // namespace postrider
