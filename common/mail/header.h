// The fields of a header block (RFC 5322 2.2, obsolete forms of 4.5 included). Blocks come from strangers: a line that
// is no field, a first line that continues nothing and bare LF line ends are stepped over, never refused. Nothing here
// copies a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postrider {

/// Views into the block. A line that is no field has an empty name and all its text in raw.
struct HeaderField {
  std::string_view name;   // without blanks before the colon
  std::string_view value;  // all after the colon: still folded, without the last line end
  std::string_view raw;    // the whole octets of the field with all its line ends

  /// The value on one line and without blanks around it: see unfold().
  std::string unfolded() const;
};

/// Steps through a block from its beginning to its empty line or its end. The block must outlive the reader.
///   HeaderReader reader(block);
///   while (auto field = reader.next()) ...
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view block) : rest_(block) {}
  std::optional<HeaderField> next();

 private:
  std::string_view rest_;
};

/// RFC 5322 2.2.3: line ends taken out and blanks trimmed at both ends. NUL, and CR or LF that stand alone, become a
/// space.
std::string unfold(std::string_view value);

/// The unfolded value of the first field of that name, in any case; nothing where there is none.
std::optional<std::string> find_header(std::string_view block, std::string_view name);

/// How many fields of that name there are: Received, to count hops (RFC 5321 6.3).
size_t count_headers(std::string_view block, std::string_view name);

/// Octets of the header block at the beginning of a message, with its empty line; the whole text where there is no
/// empty line.
size_t header_block_size(std::string_view message);

/// IMAP's HEADER.FIELDS and HEADER.FIELDS.NOT (RFC 3501 6.4.5): made once for a command, applied to many messages.
class HeaderSelector {
 public:
  enum class Mode { only, all_but };
  HeaderSelector(const std::vector<std::string>& names, Mode mode);

  /// Appends the exact octets of the selected fields in their order and then the empty line. Lines that are no field
  /// have no name and so belong to all_but.
  void append(std::string_view block, std::string& out) const;

 private:
  bool selects(std::string_view name) const;

  std::vector<std::string> names_;  // lower case
  uint64_t lengths_ = 0;            // bit n: some name has n octets (63: or more)
  Mode mode_;
};

}  // namespace postrider
