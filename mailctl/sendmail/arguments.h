// The command line of sendmail(8), as programs have written it for forty years. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace postrider::sendmail {

enum class Mode { deliver, smtp, list_queue, new_aliases, flush_queue, help };

struct Arguments {
  Mode mode = Mode::deliver;
  std::optional<std::string> sender;    // -f, -r
  std::string full_name;                // -F
  bool recipients_from_header = false;  // -t
  bool dots_are_text = false;           // -i, -oi: a line with a dot alone ends nothing
  std::string notify, ret, envid;       // -N, -R, -V
  std::vector<std::string> recipients;
};

/// program: how it was called; mailq and newaliases are modes of their own. The error is a sentence.
Result<Arguments> parse_arguments(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace postrider::sendmail
