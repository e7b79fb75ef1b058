// The header of a message while filters look at it and change it: a list of fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postrider::milter {

constexpr size_t kMaxHeadChanges = 10'000;  // of one message, by all filters

class Head {
 public:
  struct Field {
    std::string name;   // empty: a line that is no field; nobody is shown it, and it stays where it is
    std::string value;  // all after the colon, without the last line end
    std::string raw;    // the octets of the field
  };

  /// block: with or without its empty line.
  explicit Head(std::string_view block);

  const std::vector<Field>& fields() const { return fields_; }
  bool changed() const { return changes_ > 0; }

  /// A value as filters are shown it: lines end with LF. leading_space: with the blank after the colon.
  static std::string shown(const Field& field, bool leading_space);

  // As filters ask for it; a value of several lines becomes a folded one whatever its line ends are. False: too many.
  bool add(std::string_view name, std::string_view value, bool leading_space);
  /// In front of the field that is index fields from the top.
  bool insert(uint32_t index, std::string_view name, std::string_view value, bool leading_space);
  /// The index-th field of that name, from 1; an empty value removes it; where there is none, it is added.
  bool change(uint32_t index, std::string_view name, std::string_view value, bool leading_space);

  /// The whole block, with its empty line.
  std::string text() const;

 private:
  std::vector<Field> fields_;
  size_t changes_ = 0;
  bool has_end_ = true;  // an empty line, or a field in front of where one belongs
};

}  // namespace postrider::milter
