// One call of mailctl, from its arguments to what it prints.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace postrider::mailctl {

enum Status : int { kDone = 0, kFailed = 1, kUsage = 2 };

struct Outcome {
  int status = kDone;
  std::string out;    // for standard output
  std::string error;  // for standard error
};

/// Where passwords come from.
struct Input {
  Input(std::FILE* input_file, bool input_is_terminal) : file(input_file), terminal(input_is_terminal) {}
  std::FILE* file;
  bool terminal;  // somebody types: ask, twice, and show nothing
};

/// arguments: without the program's name.
Outcome run(const std::vector<std::string>& arguments, Input input);

}  // namespace postrider::mailctl
