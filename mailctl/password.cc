// Passwords: read without being shown, made, and set. A given password is never printed and never logged.
#include "common/sasl/password.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "common/base/random.h"
#include "mailctl/commands.h"
#include "mailctl/context.h"

namespace postrider::mailctl {
namespace {

// Without l, o, 0 and 1.
constexpr std::string_view kLetters = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(kLetters.size() == 32);
constexpr size_t kGeneratedLetters = 20;
constexpr size_t kGroup = 5;

/// Keeps a terminal from showing what is typed.
class WithoutEcho {
 public:
  explicit WithoutEcho(int terminal) : terminal_(terminal), changed_(::tcgetattr(terminal, &before_) == 0) {
    if (!changed_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(terminal_, TCSAFLUSH, &quiet);
  }
  ~WithoutEcho() {
    if (changed_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  WithoutEcho(const WithoutEcho&) = delete;
  WithoutEcho& operator=(const WithoutEcho&) = delete;

 private:
  int terminal_;
  termios before_{};
  bool changed_;
};

std::string read_line(std::FILE* file) {
  std::array<char, sasl::kMaxPasswordOctets + 3> line{};
  if (std::fgets(line.data(), static_cast<int>(line.size()), file) == nullptr) return {};
  std::string text(line.data());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

std::string ask(std::FILE* terminal, const std::string& question) {
  std::fputs(question.c_str(), stderr);
  std::fflush(stderr);
  WithoutEcho quiet(::fileno(terminal));
  std::string answer = read_line(terminal);
  std::fputs("\n", stderr);
  return answer;
}

}  // namespace

std::string generate_password() {
  const std::string bytes = random_bytes(kGeneratedLetters);
  std::string password;
  for (size_t i = 0; i < kGeneratedLetters; ++i) {
    if (i > 0 && i % kGroup == 0) password += '-';
    password += kLetters[static_cast<unsigned char>(bytes[i]) % kLetters.size()];
  }
  return password;
}

std::string Context::read_password(const std::string& whose) {
  std::string password;
  if (input_.terminal) {
    password = ask(input_.file, fmt::format("New password of {}: ", whose));
    if (password != ask(input_.file, "The same again: "))
      throw CommandFailed("The two passwords differ; nothing was changed.");
  } else {
    password = read_line(input_.file);
  }
  if (password.empty()) throw CommandFailed("The password is empty; nothing was changed.");
  return password;
}

std::string Context::read_known_password(const std::string& whose) {
  const std::string password =
      input_.terminal ? ask(input_.file, fmt::format("Password of {}: ", whose)) : read_line(input_.file);
  if (password.empty()) throw CommandFailed(fmt::format("No password of {} was given; nothing was done.", whose));
  if (password.size() > sasl::kMaxPasswordOctets)
    throw CommandFailed(fmt::format("The password of {} is longer than {} octets, which mailctl does not take.", whose,
                                    sasl::kMaxPasswordOctets));
  return password;
}

GivenPassword take_password(Context& context, const std::string& whose, bool generate) {
  std::string password = generate ? generate_password() : context.read_password(whose);
  auto record = require(sasl::make_password_record(password));
  return {std::move(record), generate ? std::move(password) : std::string()};
}

void add_password_command(CLI::App& app, Context& context) {
  struct Options {
    std::string address;
    bool generate = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("password", "Sets the password of an account.");
  describe(*command,
           "Sets the password of an account. At a terminal it is asked for twice and not shown; otherwise it is the "
           "first line "
           "of standard input. Sessions that are logged in go on; the next login needs the new one.",
           "  mailctl password alice@example.org\n"
           "  mailctl password --generate alice@example.org\n"
           "  pass show mail/alice | mailctl password alice@example.org\n");
  command->add_option("ADDRESS", options->address, "The account's address.")->required();
  command->add_flag("--generate", options->generate, "Make one up and print it.");
  command->callback([&context, options] {
    const std::string address = context.account(options->address).address;
    const GivenPassword given = take_password(context, address, options->generate);
    require(context.directory().set_password(address, given.record));
    Json done = {{"address", address}};
    if (options->generate) done["password"] = given.generated;
    context.result(done, options->generate ? fmt::format("The password of {} is {}", address, given.generated)
                                           : fmt::format("The password of {} is set.", address));
  });
}

}  // namespace postrider::mailctl
