#include "common/smtp/line_reader.h"

namespace postrider::smtp {

LineReader::Line LineReader::next(std::string_view input) {
  Line line;
  const auto lf = input.find('\n');
  if (lf == std::string_view::npos) {
    if (skipping_ || input.size() >= max_line_) {
      skipping_ = true;
      line.taken = input.size() - (input.ends_with('\r') ? 1 : 0);  // its LF may be next
    }
    return line;
  }
  line.taken = lf + 1;
  line.text = input.substr(0, lf);
  const bool crlf = line.text.ends_with('\r');
  if (crlf) line.text.remove_suffix(1);

  if (skipping_ || line.taken > max_line_) {
    skipping_ = false;
    line.status = Status::too_long;
  } else if (!crlf) {
    const auto end = input.find("\r\n", line.taken);
    line.taken = end == std::string_view::npos ? input.size() : end + 2;
    line.status = Status::bare;
  } else if (line.text.find('\r') != std::string_view::npos || line.text.find('\0') != std::string_view::npos) {
    line.status = Status::bare;
  } else {
    line.status = Status::line;
  }
  return line;
}

}  // namespace postrider::smtp
