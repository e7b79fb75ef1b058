#include "common/mail/downgrade.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/ascii.h"
#include "common/mail/header.h"
#include "common/mail/mime_index.h"
#include "common/mail/part_header.h"

namespace postrider {
namespace {

using Edit = DowngradePlan::Edit;

constexpr char kMasked = '#';  // for octets that nobody reads; no character of a boundary (RFC 2046 5.1.1)

bool is_identity(std::string_view encoding) {
  return encoding.empty() || encoding == "7bit" || encoding == "8bit" || encoding == "binary";
}

/// A header block with another Content-Transfer-Encoding. message_root: of a whole message, which says that it is MIME
/// and what it is made of.
std::string with_encoding(std::string_view block, std::string_view encoding, bool message_root) {
  std::string out;
  bool set = false, has_version = false, has_type = false;
  const std::string field_text = fmt::format("Content-Transfer-Encoding: {}\r\n", encoding);
  HeaderReader reader(block);
  size_t taken = 0;
  while (auto field = reader.next()) {
    taken += field->raw.size();
    if (iequals(field->name, "Content-Transfer-Encoding")) {
      if (!std::exchange(set, true)) out += field_text;
      continue;
    }
    has_version = has_version || iequals(field->name, "MIME-Version");
    has_type = has_type || iequals(field->name, "Content-Type");
    out += field->raw;
  }
  if (!out.empty() && !out.ends_with('\n')) out += "\r\n";
  if (message_root && !has_version) out += "MIME-Version: 1.0\r\n";
  // RFC 1428: what is there is not known, and a reader may guess as before.
  if (message_root && !has_type) out += "Content-Type: text/plain; charset=unknown-8bit\r\n";
  if (!set) out += field_text;
  out += block.substr(taken);  // the empty line
  return out;
}

/// Looks at a message whose index is known, and collects what has to be changed.
class Planner {
 public:
  Planner(const MimeIndex& index, ContentLimit limit, bool binary) : index_(index), limit_(limit), binary_(binary) {
    for (uint32_t i = 0; i < index_.parts.size(); ++i) {
      const MimePart& part = index_.parts[i];
      add_region(i, Region::Kind::header, part.header_offset, part.header_size);
      if (part.kind == PartKind::leaf) add_region(i, Region::Kind::body, part.body_offset(), part.body_size);
    }
    add_region(0, Region::Kind::between, UINT64_MAX, 0);
  }

  void feed(std::string_view piece) {
    while (!piece.empty() && !error_) {
      const Region& region = regions_[at_];
      const size_t size = std::min<uint64_t>(piece.size(), region.end - offset_);
      take(piece.substr(0, size));
      piece.remove_prefix(size);
      offset_ += size;
      while (at_ + 1 < regions_.size() && offset_ == regions_[at_].end && !error_) end_region();
    }
  }

  Result<DowngradePlan> finish() {
    while (at_ < regions_.size() && !error_) end_region();
    if (error_) return tl::unexpected(std::move(*error_));
    std::sort(plan_.edits.begin(), plan_.edits.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
    return std::move(plan_);
  }

 private:
  struct Region {
    enum class Kind { between, header, body };
    uint32_t part;
    Kind kind;
    uint64_t begin, end;
  };

  void add_region(uint32_t part, Region::Kind kind, uint64_t begin, uint64_t size) {
    const uint64_t end_of_last = regions_.empty() ? 0 : regions_.back().end;
    if (begin > end_of_last) regions_.push_back({part, Region::Kind::between, end_of_last, begin});
    if (size > 0) regions_.push_back({part, kind, begin, begin + size});
  }

  void take(std::string_view piece) {
    scanner_.feed(piece);
    if (regions_[at_].kind != Region::Kind::header) return;
    if (header_.size() + piece.size() > kMaxHeaderBlock) {
      error_.emplace("a header of it is too long to be rewritten");
    } else {
      header_ += piece;
    }
  }

  void end_region() {
    const Region& region = regions_[at_];
    // The last region has no end of its own.
    const uint64_t end = std::min(region.end, offset_);
    switch (region.kind) {
      case Region::Kind::between:
        if (limit_ == ContentLimit::seven_bit && scanner_.has_8bit())
          plan_.edits.push_back({Edit::Kind::mask, region.begin, end, {}});
        break;
      case Region::Kind::header:
        end_header(region);
        break;
      case Region::Kind::body:
        end_body(region, end);
        break;
    }
    if (region.kind != Region::Kind::header) header_.clear();
    scanner_ = ContentScanner();
    ++at_;
    if (at_ < regions_.size() && regions_[at_].kind == Region::Kind::header) header_.clear();
  }

  void end_header(const Region& region) {
    const MimePart& part = index_.parts[region.part];
    if (scanner_.has_8bit() && limit_ == ContentLimit::seven_bit) {
      error_.emplace("header fields of it are in 8-bit");
      return;
    }
    // A leaf's is decided by its body.
    if (part.kind != PartKind::leaf && is_too_much(part.encoding) && !is_signed(region.part)) {
      relabel(region.part, region.begin, region.end, limit_ == ContentLimit::seven_bit ? "7bit" : "8bit");
    }
  }

  bool is_too_much(std::string_view encoding) const {
    return encoding == "binary" || (encoding == "8bit" && limit_ == ContentLimit::seven_bit);
  }

  void end_body(const Region& region, uint64_t end) {
    const MimePart& part = index_.parts[region.part];
    const bool too_much =
        (scanner_.has_8bit() && limit_ == ContentLimit::seven_bit) || (binary_ && scanner_.is_binary());
    const uint64_t header_end = part.header_offset + part.header_size;
    if (!too_much) {
      if (is_too_much(part.encoding) && !is_signed(region.part)) {
        relabel(region.part, part.header_offset, header_end, scanner_.has_8bit() ? "8bit" : "7bit");
      }
      return;
    }
    // What it declares to be, which the index shows as text where it is no such thing.
    const PartHeader declared = read_part_header(header_, false);
    const bool global = declared.type == "message" && declared.subtype.starts_with("global");  // RFC 6532, RFC 6533
    if (is_signed(region.part)) {
      error_.emplace("a signature covers what would have to be changed");
    } else if (!is_identity(part.encoding)) {
      error_.emplace(fmt::format("a part of it is not {}, as it says", part.encoding));
    } else if (declared.type == "multipart" || (declared.type == "message" && !global)) {
      error_.emplace(fmt::format("a part of it is {}/{}, which cannot be encoded", declared.type, declared.subtype));
    } else {
      encode(region, header_end, end);
    }
  }

  void encode(const Region& region, uint64_t header_end, uint64_t end) {
    const MimePart& part = index_.parts[region.part];
    // Text that is mostly in another script is shorter in base64.
    const bool readable = part.type == "text" && scanner_.eight_bit_octets() <= scanner_.octets() / 3;
    relabel(region.part, part.header_offset, header_end, readable ? "quoted-printable" : "base64");
    plan_.edits.push_back({readable ? Edit::Kind::quoted_printable : Edit::Kind::base64, region.begin, end, {}});
  }

  void relabel(uint32_t part, uint64_t begin, uint64_t end, std::string_view encoding) {
    const bool message_root = part == 0 || index_.parts[index_.parts[part].parent].kind == PartKind::message;
    plan_.edits.push_back({Edit::Kind::replace, begin, end, with_encoding(header_, encoding, message_root)});
  }

  /// Whether it lies within a multipart/signed (RFC 1847 2.1).
  bool is_signed(uint32_t part) const {
    while (part != 0) {
      part = index_.parts[part].parent;
      if (index_.parts[part].type == "multipart" && index_.parts[part].subtype == "signed") return true;
    }
    return false;
  }

  const MimeIndex& index_;
  const ContentLimit limit_;
  const bool binary_;
  std::vector<Region> regions_;
  size_t at_ = 0;  // region
  uint64_t offset_ = 0;
  ContentScanner scanner_;
  std::string header_;  // of the part at hand
  DowngradePlan plan_;
  std::optional<Error> error_;
};

}  // namespace

void ContentScanner::feed(std::string_view piece) {
  octets_ += piece.size();
  for (char c : piece) {
    if (is_8bit(c)) ++eight_bit_;
    if (c == '\n') {
      binary_ = binary_ || !after_cr_;
      after_cr_ = false;
      line_ = 0;
      continue;
    }
    binary_ = binary_ || after_cr_ || c == '\0';
    after_cr_ = c == '\r';
    if (!after_cr_ && ++line_ > kMaxTextLine) binary_ = true;
  }
}

Result<DowngradePlan> plan_downgrade(const ReadMessage& read, ContentLimit limit, bool binary) {
  MimeIndexer indexer;
  read([&](std::string_view piece) { indexer.feed(piece); });
  const MimeSummary summary = indexer.finish();
  Planner planner(summary.index, limit, binary);
  read([&](std::string_view piece) { planner.feed(piece); });
  return planner.finish();
}

// --- writing

class Downgrader::Encoder {
 public:
  virtual ~Encoder() = default;
  virtual void feed(std::string_view piece, std::string& out) = 0;
  virtual void finish(std::string& out) = 0;
};

/// RFC 2045 6.7. CRLF is a line end; anything else that is no printable text is escaped.
class Downgrader::QuotedPrintable final : public Encoder {
 public:
  void feed(std::string_view piece, std::string& out) override {
    for (char c : piece) take(c, out);
  }
  void finish(std::string& out) override {
    if (blank_ != 0) cr_ ? put_plain(blank_, out) : put_escaped(blank_, out);
    if (cr_) put_escaped('\r', out);
  }

 private:
  static constexpr size_t kMaxEncodedLine = 75;  // and a soft line break

  void take(char c, std::string& out) {
    if (cr_ && c == '\n') {
      if (blank_ != 0) put_escaped(blank_, out);  // blanks at the end of a line get lost on the way
      out += "\r\n";
      column_ = 0;
      blank_ = 0;
      cr_ = false;
      return;
    }
    if (blank_ != 0 && (cr_ || c != '\r')) put_plain(std::exchange(blank_, '\0'), out);
    if (std::exchange(cr_, false)) put_escaped('\r', out);
    if (c == '\r') {
      cr_ = true;
    } else if (c == ' ' || c == '\t') {
      blank_ = c;
    } else if (c > ' ' && c < 0x7f && c != '=') {
      put_text(c, out);
    } else {
      put_escaped(c, out);
    }
  }
  void make_room(size_t octets, std::string& out) {
    if (column_ + octets > kMaxEncodedLine) {
      out += "=\r\n";
      column_ = 0;
    }
    column_ += octets;
  }
  void put_text(char c, std::string& out) {
    // A line that breaks here must not begin like a delimiter of a multipart around it.
    const bool begins_line = column_ == 0 || column_ + 1 > kMaxEncodedLine;
    begins_line&& c == '-' ? put_escaped(c, out) : put_plain(c, out);
  }
  void put_plain(char c, std::string& out) {
    make_room(1, out);
    out += c;
  }
  void put_escaped(char c, std::string& out) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    make_room(3, out);
    const auto value = static_cast<unsigned char>(c);
    out += '=';
    out += kHex[value >> 4];
    out += kHex[value & 15];
  }

  size_t column_ = 0;
  char blank_ = 0;   // that may end a line
  bool cr_ = false;  // that may begin a line end; stands behind blank_
};

class Downgrader::Base64 final : public Encoder {
 public:
  void feed(std::string_view piece, std::string& out) override {
    for (char c : piece) {
      bits_ = bits_ << 8 | static_cast<unsigned char>(c);
      if (++count_ == 3) put(4, out);
    }
  }
  void finish(std::string& out) override {
    if (count_ == 0) return;
    const size_t padding = 3 - count_;
    bits_ <<= 8 * padding;
    put(4 - padding, out);
    out.append(padding, '=');
  }

 private:
  static constexpr size_t kEncodedLine = 76;

  void put(size_t sextets, std::string& out) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (column_ == kEncodedLine) {
      out += "\r\n";
      column_ = 0;
    }
    for (size_t i = 0; i < sextets; ++i) out += kAlphabet[bits_ >> (18 - 6 * i) & 63];
    column_ += 4;
    bits_ = count_ = 0;
  }

  uint32_t bits_ = 0;
  uint32_t count_ = 0;
  size_t column_ = 0;
};

Downgrader::Downgrader(DowngradePlan plan) : plan_(std::move(plan)) {}
Downgrader::~Downgrader() = default;

void Downgrader::begin_edit(std::string& out) {
  inside_ = true;
  const Edit& edit = plan_.edits[next_];
  if (edit.kind == Edit::Kind::replace) out += edit.text;
  if (edit.kind == Edit::Kind::quoted_printable) encoder_ = std::make_unique<QuotedPrintable>();
  if (edit.kind == Edit::Kind::base64) encoder_ = std::make_unique<Base64>();
}

void Downgrader::end_edit(std::string& out) {
  inside_ = false;
  if (encoder_ != nullptr) encoder_->finish(out);
  encoder_ = nullptr;
  ++next_;
}

void Downgrader::apply(std::string_view piece, std::string& out) {
  if (encoder_ != nullptr) encoder_->feed(piece, out);
  if (plan_.edits[next_].kind != Edit::Kind::mask) return;
  for (char c : piece) out += is_8bit(c) ? kMasked : c;
}

void Downgrader::feed(std::string_view piece, std::string& out) {
  while (!piece.empty()) {
    if (next_ == plan_.edits.size()) {
      out += piece;
      return;
    }
    const Edit& edit = plan_.edits[next_];
    if (!inside_ && offset_ == edit.begin) begin_edit(out);
    const uint64_t stop = inside_ ? edit.end : edit.begin;
    const size_t size = std::min<uint64_t>(piece.size(), stop - offset_);
    if (inside_) {
      apply(piece.substr(0, size), out);
    } else {
      out += piece.substr(0, size);
    }
    piece.remove_prefix(size);
    offset_ += size;
    if (inside_ && offset_ == edit.end) end_edit(out);
  }
}

void Downgrader::finish(std::string& out) {
  if (inside_) end_edit(out);
  if (plan_.edits.empty()) return;
  const Edit& last = plan_.edits.back();
  if (last.kind == Edit::Kind::base64 && last.end == offset_)
    out += "\r\n";  // no delimiter begins its own line after it
}

}  // namespace postrider
