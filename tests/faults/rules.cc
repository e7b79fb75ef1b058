#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "tests/faults/faults.h"

namespace faults {
namespace {

/// Up to the separator, which is taken off as well.
std::string_view take(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

int error_of(std::string_view name) {
  if (name == "ENOSPC") return ENOSPC;
  if (name == "EROFS") return EROFS;
  if (name == "lie") return 0;
  return EIO;
}

}  // namespace

Rules::Rules(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = take(text, '\n');
    Rule rule;
    for (std::string* field : {&rule.program, &rule.action, &rule.operation, &rule.path}) *field = take(line, ' ');
    rule.skip = std::atol(std::string(take(line, ' ')).c_str());
    rule.count = std::atol(std::string(line).c_str());
    rule.error = error_of(rule.action);
    if (!rule.path.empty()) rules_.push_back(std::move(rule));
  }
}

const Rule* Rules::next(std::string_view program, std::string_view operation, const std::string& path, bool before) {
  for (Rule& rule : rules_) {
    if ((rule.action == "killed") == before) continue;
    if ((rule.program != "*" && rule.program != program) || (rule.operation != "*" && rule.operation != operation))
      continue;
    if (::fnmatch(rule.path.c_str(), path.c_str(), 0) != 0) continue;
    const long at = rule.fitted++ - rule.skip;
    if (at >= 0 && (rule.count == 0 || at < rule.count)) return &rule;
  }
  return nullptr;
}

std::vector<std::string> saved_names(std::string_view journal) {
  std::vector<std::string> names;
  while (!journal.empty()) {
    std::string_view line = take(journal, '\n');
    take(line, '\t');
    take(line, '\t');
    if (!line.empty()) names.emplace_back(line);
  }
  return names;
}

}  // namespace faults
