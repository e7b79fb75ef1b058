// mailctl: the administrator's command.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "mailctl/run.h"

int main(int argc, char** argv) {
  using namespace postrider::mailctl;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const Outcome outcome = run(arguments, Input(stdin, ::isatty(STDIN_FILENO) == 1));
  std::fwrite(outcome.out.data(), 1, outcome.out.size(), stdout);
  std::fwrite(outcome.error.data(), 1, outcome.error.size(), stderr);
  if (std::fflush(stdout) != 0 && outcome.status == kDone) return kFailed;
  return outcome.status;
}
