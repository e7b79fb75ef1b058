// The rules of the file layer for tests (faults.cc): which call fails, and how.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faults {

/// One line: "PROGRAM ACTION OPERATION PATH SKIP COUNT", for instance "mta kill flush queue.db-wal 7 1".
struct Rule {
  std::string program;  // or "*"
  std::string
      action;  // "kill" before the call, "killed" after it; ENOSPC, EIO, EROFS: it fails; "lie": a flush does nothing
  std::string operation;  // open, write, truncate, flush, rename, unlink, link, mkdir, or "*"
  std::string path;       // within the state folder, as fnmatch(3) has it
  long skip = 0;          // of the calls that fit
  long count = 0;         // how many times; 0: until there are other rules
  int error = 0;
  long fitted = 0;
};

class Rules {
 public:
  Rules() = default;
  explicit Rules(std::string_view text);

  /// The rule that comes true at this call. before: or after it.
  const Rule* next(std::string_view program, std::string_view operation, const std::string& path, bool before);

 private:
  std::vector<Rule> rules_;
};

/// What the journal of a folder says was saved.
std::vector<std::string> saved_names(std::string_view journal);

}  // namespace faults
