// What every command needs: the options before the noun, the configuration, the state folder, and where to print.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/config/config.h"
#include "mailctl/run.h"
#include "store/accounts.h"
#include "store/directory.h"

namespace postrider::mailctl {

using Json = nlohmann::ordered_json;

/// Ends a command; the message is a sentence for the administrator.
class CommandFailed : public std::runtime_error {
 public:
  explicit CommandFailed(const std::string& message, int status = kFailed)
      : std::runtime_error(message), status_(status) {}
  int status() const { return status_; }

 private:
  int status_;
};

/// The value, or CommandFailed with the error's message.
template <class T>
T require(Result<T> result) {
  if (!result) throw CommandFailed(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// How a value of a JSON object is shown in a table.
enum class Show { text, size, yes_no, time, list };

struct Column {
  std::string_view key;
  std::string_view title;
  Show show = Show::text;
};

class Context {
 public:
  explicit Context(Input input) : input_(input) {}

  // The options before the noun.
  std::string config_file, state;
  bool json = false;

  /// The configuration in effect. Throws CommandFailed.
  const Config& config();
  /// Opens the directory, as the user that the daemons run as. Throws CommandFailed, SqliteError.
  store::Directory& directory();
  store::Accounts& accounts();
  const Clock& clock() const { return clock_; }
  /// The state folder, which is made when it is missing; from here on this process is the daemons' user.
  const std::string& state_folder();

  /// The account of that address. Throws CommandFailed when there is none.
  store::AccountInfo account(const std::string& address);

  /// The domain in its A-label form. Throws CommandFailed when it is not one of ours.
  std::string domain(const std::string& name);

  /// What was done, for people; nothing with --json.
  void say(std::string_view sentence);
  /// A result: one line of JSON with --json, otherwise the sentence.
  void result(const Json& object, std::string_view sentence);
  /// Rows as a table, or as a JSON array.
  void print(const Json& rows, const std::vector<Column>& columns, std::string_view nothing);
  /// One object as lines of name and value, or as JSON.
  void print_one(const Json& object, const std::vector<Column>& lines);
  void write(std::string_view text) { out_ += text; }
  /// How far a long command is, for somebody who watches a terminal; a line that the next one replaces. Empty: it is
  /// done.
  void progress(const std::string& text);

  /// A new password, from a terminal (asked for twice, not shown) or the first line of standard input. Throws
  /// CommandFailed.
  std::string read_password(const std::string& whose);
  /// One that counts elsewhere already: asked for once.
  std::string read_known_password(const std::string& whose);
  bool at_terminal() const { return input_.terminal; }

  std::string take_output() { return std::move(out_); }

 private:
  Input input_;
  SystemClock clock_;
  std::optional<Config> config_;
  bool prepared_ = false;
  std::unique_ptr<store::Directory> directory_;
  std::unique_ptr<store::Accounts> accounts_;
  std::string out_;
  std::chrono::steady_clock::time_point shown_{};  // progress(), last
};

/// Four groups of five letters and digits: 100 bits, and nothing that is mistaken for something else.
std::string generate_password();

/// "2026-01-31 12:00:00 UTC".
std::string format_time(UnixTime time);
/// "2026-01-31T12:00:00Z", for JSON.
std::string format_iso_time(UnixTime time);

}  // namespace postrider::mailctl
