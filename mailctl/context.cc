#include "mailctl/context.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/config/load.h"
#include "common/config/values.h"
#include "common/mail/address.h"
#include "common/net/daemon.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kGap = 2;  // columns between columns

std::string shown(const Json& value, Show show) {
  if (value.is_null()) return "-";
  switch (show) {
    case Show::size:
      return value.get<uint64_t>() == 0 ? "-" : config::format_size(value.get<uint64_t>());
    case Show::yes_no:
      return value.get<bool>() ? "yes" : "no";
    case Show::time:
      return value.get<UnixTime>() == 0 ? "-" : format_time(value.get<UnixTime>());
    case Show::list: {
      std::string out;
      for (const Json& element : value) out += (out.empty() ? "" : ", ") + element.get<std::string>();
      return out;
    }
    case Show::text:
      break;
  }
  if (value.is_string()) return value.get<std::string>().empty() ? "-" : value.get<std::string>();
  return value.dump();
}

/// Columns that a text takes on a terminal, near enough: characters of UTF-8.
size_t width(std::string_view text) {
  size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

void append_row(std::string& out, const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - width(cells[i]) + kGap, ' ');
  }
  out += line;
  out += '\n';
}

/// Times are seconds inside and text in JSON.
Json with_text_times(Json object, const std::vector<Column>& columns) {
  for (const Column& column : columns) {
    if (column.show != Show::time || !object.contains(column.key)) continue;
    Json& value = object[std::string(column.key)];
    if (value.is_null() || value.get<UnixTime>() == 0) {
      value = nullptr;
    } else {
      value = format_iso_time(value.get<UnixTime>());
    }
  }
  return object;
}

}  // namespace

std::string format_time(UnixTime time) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(time)));
}

std::string format_iso_time(UnixTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(time)));
}

const Config& Context::config() {
  if (!config_) {
    config::LoadOptions options;
    options.file = config_file;
    options.state = state;
    config_ = require(config::load(options));
  }
  return *config_;
}

const std::string& Context::state_folder() {
  const Config& settings = config();
  if (!prepared_) {
    require(net::prepare_state_folder(settings.server.state, settings.server.user, settings.server.group));
    // What is made here belongs to the daemons: made by root they could not write it.
    require(net::drop_privileges(settings.server.user, settings.server.group));
    prepared_ = true;
  }
  return settings.server.state;
}

store::Directory& Context::directory() {
  if (!directory_) directory_ = std::make_unique<store::Directory>(state_folder(), clock_);
  return *directory_;
}

store::Accounts& Context::accounts() {
  if (!accounts_) accounts_ = std::make_unique<store::Accounts>(state_folder(), 1, clock_);
  return *accounts_;
}

store::AccountInfo Context::account(const std::string& address) {
  const auto parsed = parse_mailbox(address, Utf8::allowed);
  if (!parsed) throw CommandFailed(fmt::format("{} is no address: {}", address, parsed.error().message));
  const auto domain = normalize_domain(parsed->domain);
  for (store::AccountInfo& info : directory().accounts()) {
    const size_t at = info.address.rfind('@');
    if (domain && info.address.substr(at + 1) == *domain &&
        iequals(info.address.substr(0, at), quote_local_part(parsed->local_part))) {
      return std::move(info);
    }
  }
  throw CommandFailed(
      fmt::format("There is no account {}. `mailctl account list` shows those that there are.", address));
}

std::string Context::domain(const std::string& name) {
  std::string known = require(normalize_domain(name));
  if (directory().has_domain(known)) return known;
  throw CommandFailed(fmt::format("There is no domain {}. `mailctl domain list` shows those that there are.", name));
}

void Context::say(std::string_view sentence) {
  if (json) return;
  out_ += sentence;
  out_ += '\n';
}

void Context::progress(const std::string& text) {
  constexpr std::chrono::milliseconds kPace{200};
  const auto now = std::chrono::steady_clock::now();
  if (json || ::isatty(STDERR_FILENO) == 0 || (!text.empty() && now - shown_ < kPace)) return;
  shown_ = now;
  fmt::print(stderr, "\r\x1b[K{}", text);
}

void Context::result(const Json& object, std::string_view sentence) {
  if (json) {
    out_ += object.dump() + '\n';
  } else {
    say(sentence);
  }
}

void Context::print(const Json& rows, const std::vector<Column>& columns, std::string_view nothing) {
  if (json) {
    Json all = Json::array();
    for (const Json& row : rows) all.push_back(with_text_times(row, columns));
    out_ += all.dump(2) + '\n';
    return;
  }
  if (rows.empty()) return say(nothing);
  std::vector<std::vector<std::string>> table(1);
  for (const Column& column : columns) table[0].emplace_back(column.title);
  for (const Json& row : rows) {
    auto& cells = table.emplace_back();
    for (const Column& column : columns) cells.push_back(shown(row.at(std::string(column.key)), column.show));
  }
  std::vector<size_t> widths(columns.size(), 0);
  for (const auto& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width(cells[i]));
  }
  for (const auto& cells : table) append_row(out_, cells, widths);
}

void Context::print_one(const Json& object, const std::vector<Column>& lines) {
  if (json) {
    out_ += with_text_times(object, lines).dump(2) + '\n';
    return;
  }
  size_t widest = 0;
  for (const Column& line : lines) widest = std::max(widest, line.title.size());
  for (const Column& line : lines) {
    out_ += fmt::format("{:<{}}  {}\n", line.title, widest, shown(object.at(std::string(line.key)), line.show));
  }
}

}  // namespace postrider::mailctl
