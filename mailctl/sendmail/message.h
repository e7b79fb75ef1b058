// A message on its way from standard input into a drop: recipients out of its header, and where it ends.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace postrider::sendmail {

constexpr size_t kMaxReadHeader = 256 << 10;  // octets of a header that -t looks at

/// Addresses of a list as it stands in a header or on a command line: "a@example.org, Bob <b@example.org>, root".
void add_recipients(std::string_view list, std::vector<std::string>& recipients);

struct HeaderOfT {
  std::vector<std::string> recipients;  // of To, Cc and Bcc
  std::string header;                   // without Bcc, and with its empty line where there was one
};
/// -t: header is the block, LF or CRLF line ends.
HeaderOfT read_recipients(std::string_view header);

/// Reads input to its end, or to a line with a dot alone where ends_at_dot; gives sink whole lines with their ends.
/// Stops at the first failure of sink. False where reading failed.
Result<void> read_lines(std::FILE* input, bool ends_at_dot,
                        const std::function<Result<void>(std::string_view line)>& sink);

}  // namespace postrider::sendmail
