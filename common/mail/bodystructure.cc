#include "common/mail/bodystructure.h"

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/format.h"
#include "common/base/number.h"
#include "common/mail/envelope.h"
#include "common/mail/imap_string.h"

namespace postrider {
namespace {

/// Writes part after part; the depth of its recursion is that of the parts, at most kMaxMimeDepth.
class StructureWriter {
 public:
  StructureWriter(const MimeIndex& index, const std::vector<PartDescription>& descriptions)
      : parts_(index.parts), descriptions_(descriptions) {}

  std::string take() {
    write(0);
    return std::move(out_);
  }

 private:
  /// Writes the part and all in it; gives the index of the part after these.
  size_t write(size_t at) {
    out_ += '(';
    size_t next = parts_[at].kind == PartKind::multipart ? write_multipart(at) : write_single(at);
    out_ += ')';
    return next;
  }

  size_t write_multipart(size_t at) {
    size_t next = at + 1;
    while (next < parts_.size() && parts_[next].parent == at) next = write(next);
    out_ += ' ';
    append_imap_string(parts_[at].subtype, out_);
    out_ += ' ' + descriptions_[at].parameters + ' ' + descriptions_[at].extension;
    return next;
  }

  size_t write_single(size_t at) {
    const auto& part = parts_[at];
    const auto& description = descriptions_[at];
    // A message whose inside is not described cannot be shown as one: its ENVELOPE and structure would have to follow.
    bool opaque = part.kind == PartKind::leaf && (part.type == "multipart" || is_message(part));
    append_imap_string(opaque ? "application" : part.type, out_);
    out_ += ' ';
    append_imap_string(opaque ? "octet-stream" : part.subtype, out_);
    out_ += ' ' + description.parameters + ' ' + description.identity + ' ';
    append_imap_string(part.encoding.empty() ? "7bit" : part.encoding, out_);
    append_format(out_, " {}", part.body_size);
    size_t next = at + 1;
    if (part.kind == PartKind::message) {
      out_ += ' ' + (description.envelope.empty() ? std::string(kEmptyEnvelope) : description.envelope) + ' ';
      next = write(at + 1);
      append_format(out_, " {}", part.body_lines);
    } else if (part.type == "text") {
      append_format(out_, " {}", part.body_lines);
    }
    out_ += ' ' + description.md5 + ' ' + description.extension;
    return next;
  }

  static bool is_message(const MimePart& part) { return part.type == "message" && part.subtype == "rfc822"; }

  const std::vector<MimePart>& parts_;
  const std::vector<PartDescription>& descriptions_;
  std::string out_;
};

/// Copies a BODYSTRUCTURE value without its extension data. Any text may come in; what is no BODYSTRUCTURE fails.
class ExtensionStripper {
 public:
  explicit ExtensionStripper(std::string_view text) : rest_(text) {}

  bool run() { return body(0) && rest_.empty(); }
  std::string& out() { return out_; }

 private:
  bool body(size_t depth) {
    if (depth > 2 * kMaxMimeDepth + 2 || !rest_.starts_with('(')) return false;
    copy(1);
    bool ok = rest_.starts_with('(') ? multipart(depth) : single(depth);
    if (!ok || !skip_rest()) return false;
    out_ += ')';
    return true;
  }

  bool multipart(size_t depth) {
    while (rest_.starts_with('(')) {
      if (!body(depth + 1)) return false;
    }
    return copy_space() && copy_value();  // the subtype
  }

  bool single(size_t depth) {
    size_t type_begin = out_.size();
    if (!copy_value() || !copy_space()) return false;
    std::string type = lower(std::string_view(out_).substr(type_begin, out_.size() - 1 - type_begin));
    size_t subtype_begin = out_.size();
    if (!copy_value()) return false;
    std::string subtype = lower(std::string_view(out_).substr(subtype_begin));
    // parameters, id, description, encoding, octets
    for (int field = 0; field < 5; ++field) {
      if (!copy_space() || !copy_value()) return false;
    }
    if (type == "\"text\"") return copy_space() && copy_value();
    if (type != "\"message\"" || subtype != "\"rfc822\"") return true;
    return copy_space() && copy_value() && copy_space() && body(depth + 1) && copy_space() && copy_value();
  }

  void copy(size_t count) {
    out_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }
  bool copy_space() {
    if (!rest_.starts_with(' ')) return false;
    copy(1);
    return true;
  }
  bool copy_value() {
    size_t size = value_size(rest_);
    if (size == 0) return false;
    copy(size);
    return true;
  }
  /// What is left of the list that the cursor is in, with its closing parenthesis.
  bool skip_rest() {
    while (rest_.starts_with(' ')) {
      rest_.remove_prefix(1);
      size_t size = value_size(rest_);
      if (size == 0) return false;
      rest_.remove_prefix(size);
    }
    if (!rest_.starts_with(')')) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// Octets of the quoted string, literal, atom or list at the beginning of text; 0 where there is none.
  static size_t value_size(std::string_view text) {
    size_t depth = 0;
    size_t at = 0;
    do {
      if (at >= text.size()) return 0;
      char c = text[at];
      if (c == '(') {
        ++depth;
        ++at;
      } else if (c == ')') {
        if (depth == 0) return 0;
        --depth;
        ++at;
      } else if (c == ' ') {
        if (depth == 0) return 0;
        ++at;
      } else {
        size_t size = scalar_size(text.substr(at));
        if (size == 0) return 0;
        at += size;
      }
    } while (depth > 0);
    return at;
  }

  static size_t scalar_size(std::string_view text) {
    if (text.front() == '"') {
      for (size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') return i + 1;
        if (text[i] == '\\') ++i;
      }
      return 0;
    }
    if (text.front() == '{') {
      size_t brace = text.find("}\r\n");
      auto size = brace == std::string_view::npos ? std::nullopt : parse_number<uint32_t>(text.substr(1, brace - 1));
      return size && *size <= text.size() - brace - 3 ? brace + 3 + *size : 0;
    }
    return std::min(text.find_first_of(" ()\"{"), text.size());
  }

  std::string_view rest_;
  std::string out_;
};

}  // namespace

std::string make_bodystructure(const MimeIndex& index, const std::vector<PartDescription>& descriptions) {
  return StructureWriter(index, descriptions).take();
}

std::string body_from_bodystructure(std::string_view bodystructure) {
  ExtensionStripper stripper(bodystructure);
  // A stored value that cannot be read is passed on: the extension data in it is the smaller harm.
  return stripper.run() ? std::move(stripper.out()) : std::string(bodystructure);
}

}  // namespace postrider
