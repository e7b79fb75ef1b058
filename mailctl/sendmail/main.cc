// sendmail, mailq, newaliases: how the programs of this machine send mail. Installed with the group of the drop folder
// (setgid), it trusts nothing that its caller sets: neither the environment nor a configuration file of his.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string>
#include <vector>

#include "common/config/load.h"
#include "mailctl/sendmail/sendmail.h"

namespace {

using namespace postrider;
using sendmail::Arguments;
using sendmail::Mode;

constexpr const char* kHelp =
    R"(usage: sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N WHEN] [-R full|hdrs] [-V ENVID] [--] [RECIPIENT...]
       sendmail -bs | -bp | -bi | -q
       mailq
       newaliases

Takes a message on standard input and leaves it for mta, which delivers it; mta need not run at that moment.

  -t             recipients are those of the header's To, Cc and Bcc; Bcc is taken out
  -i, -oi        a line with a dot alone does not end the message
  -f, -r SENDER  where reports go to; for root, server.user and system.trusted_users
  -F NAME        the sender's name, where the message has no From field
  -N WHEN        reports that are wanted: never, or success, failure and delay, divided by commas
  -R, -V         what of the message reports return, and its envelope id
  -bs            speak SMTP over standard input and output
  -bp, mailq     list the queue (for root and server.user)
  -q             try everything that waits now (for root and server.user)
  -bi, newaliases  nothing to do: `mailctl alias` counts at once

A name without a domain is a user of this machine; see system.root in the configuration.
Exit status: 0 it is on the disk; else as <sysexits.h> has it, and standard error says why.
)";

int fail(int status, const std::string& message) {
  std::fputs(fmt::format("sendmail: {}\n", message).c_str(), stderr);
  return status;
}

bool has_more_rights_than_its_caller() {
  return ::getegid() != ::getgid() || ::geteuid() != ::getuid();
}

/// mailctl stands beside this program.
int run_mailctl(std::vector<std::string> arguments) {
  if (has_more_rights_than_its_caller() && ::setgid(::getgid()) != 0)
    return fail(EX_OSERR, "The group cannot be given up.");
  char self[PATH_MAX] = {};
  ssize_t size = ::readlink("/proc/self/exe", self, sizeof self - 1);
  if (size <= 0) return fail(EX_OSERR, "This program cannot be found.");
  std::string path(self, static_cast<size_t>(size));
  path = path.substr(0, path.rfind('/')) + "/mailctl";
  arguments.insert(arguments.begin(), path);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execv(path.c_str(), pointers.data());
  return fail(EX_UNAVAILABLE, path + " cannot be run.");
}

int deliver(const Arguments& arguments) {
  config::LoadOptions options;
  if (has_more_rights_than_its_caller()) {
    options.environment = nullptr;
  } else if (auto file = options.environment("POSTRIDER_CONFIG")) {
    options.file = *file;
  }
  auto loaded = config::load(options);
  if (!loaded) return fail(EX_CONFIG, loaded.error().message);
  sendmail::Settings settings{loaded->in_state("drop"), loaded->server.hostname, loaded->smtp.max_message_size};
  if (arguments.mode == Mode::smtp) return sendmail::speak_smtp(arguments, settings, stdin, stdout);
  return sendmail::send(arguments, settings, stdin);
}

}  // namespace

int main(int argc, char** argv) {
  ::umask(022);
  auto arguments = sendmail::parse_arguments(argv[0], {argv + 1, argv + argc});
  if (!arguments) return fail(EX_USAGE, arguments.error().message);
  try {
    switch (arguments->mode) {
      case Mode::help:
        std::fputs(kHelp, stdout);
        return EX_OK;
      case Mode::new_aliases:
        return EX_OK;  // aliases are in the directory: there is nothing to be made
      case Mode::list_queue:
        return run_mailctl({"queue", "list"});
      case Mode::flush_queue:
        return run_mailctl({"queue", "retry", "--all"});
      default:
        return deliver(*arguments);
    }
  } catch (const std::exception& error) {
    return fail(EX_TEMPFAIL, error.what());
  }
}
