#include "mailctl/transfer/mbox_format.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "common/base/ascii.h"
#include "common/mail/date.h"
#include "store/types.h"

namespace postrider::mailctl {
namespace {

using store::Flags;

constexpr std::string_view kFrom = "From ";
constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr size_t kMaxFromWords = 40;

/// ">From ", behind any number of ">"; or "From " itself.
bool is_from_behind_marks(const LinePart& line) {
  if (!line.first) return false;
  const size_t marks = std::min(line.text.find_first_not_of('>'), line.text.size());
  return line.text.substr(marks).starts_with(kFrom);
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (found.size() < kMaxFromWords) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (text.empty()) break;
    found.push_back(text.substr(0, text.find_first_of(" \t\r\n")));
    text.remove_prefix(found.back().size());
  }
  return found;
}

bool is_year(std::string_view word) {
  return word.size() == 4 && std::all_of(word.begin(), word.end(), is_digit);
}

}  // namespace

bool StatusFields::take(const LinePart& line) {
  constexpr std::pair<std::string_view, Field> kNames[] = {{"Status", kStatus},       {"X-Status", kXStatus},
                                                           {"X-Keywords", kKeywords}, {"X-IMAP", kFolderData},
                                                           {"X-IMAPbase", kOther},    {"X-UID", kOther}};
  std::string_view value = line.text;
  if (line.first && !is_wsp(line.text.front())) {
    current_ = kNone;
    const size_t colon = std::min(line.text.find(':'), line.text.size());
    for (const auto& [name, field] : kNames) {
      if (iequals(line.text.substr(0, colon), name)) current_ = field;
    }
    if (current_ != kNone) counts_ = values_[current_].empty();
    value.remove_prefix(std::min(colon + 1, value.size()));
  }
  if (current_ == kNone) return false;
  std::string& kept = values_[current_];
  if (counts_ && kept.size() + value.size() <= kMaxStatusField) kept += value;
  return true;
}

uint64_t StatusFields::flags() const {
  const auto has = [](const std::string& value, char letter) { return value.find(letter) != std::string::npos; };
  uint64_t flags = 0;
  if (has(values_[kStatus], 'R')) flags |= Flags::kSeen;
  if (has(values_[kXStatus], 'A')) flags |= Flags::kAnswered;
  if (has(values_[kXStatus], 'F')) flags |= Flags::kFlagged;
  if (has(values_[kXStatus], 'D')) flags |= Flags::kDeleted;
  if (has(values_[kXStatus], 'T')) flags |= Flags::kDraft;
  return flags;
}

std::vector<std::string> StatusFields::keywords() const {
  std::vector<std::string> names;
  for (std::string_view text = values_[kKeywords]; !text.empty();) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    const std::string_view name = text.substr(0, text.find_first_of(" \t\r\n"));
    if (!name.empty()) names.emplace_back(name);
    text.remove_prefix(name.size());
  }
  return names;
}

std::optional<UnixTime> parse_from_line(std::string_view line) {
  if (!line.starts_with(kFrom)) return std::nullopt;
  const std::vector<std::string_view> word = words(line);
  for (size_t i = 1; i + 4 < word.size(); ++i) {
    if (std::find(kDays.begin(), kDays.end(), word[i]) == kDays.end() || word[i + 3].find(':') == std::string::npos)
      continue;
    // The year may come before or after the zone.
    const bool year_first = is_year(word[i + 4]);
    if (!year_first && (i + 5 >= word.size() || !is_year(word[i + 5]))) continue;
    const std::string_view year = word[year_first ? i + 4 : i + 5];
    const std::string_view zone = !year_first ? word[i + 4] : i + 5 < word.size() ? word[i + 5] : "+0000";
    const auto date = parse_date_time(fmt::format("{} {} {} {} {}", word[i + 2], word[i + 1], year, word[i + 3], zone));
    if (date) return std::max<UnixTime>(date->time, 0);
  }
  return std::nullopt;
}

std::string format_from_line(std::string_view sender, UnixTime date) {
  const bool plain = !sender.empty() && std::all_of(sender.begin(), sender.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != 0x7f;
  });
  return fmt::format("From {} {:%a %b %e %H:%M:%S %Y}\n", plain ? sender : "MAILER-DAEMON",
                     fmt::gmtime(static_cast<std::time_t>(std::max<UnixTime>(date, 0))));
}

void MboxReader::feed(std::string_view piece) {
  lines_.feed(piece, [this](const LinePart& line) { take(line); });
}

void MboxReader::finish() {
  lines_.finish([this](const LinePart& line) { take(line); });
  end_message();
}

void MboxReader::end_message() {
  if (in_message_) visitor_.end(status_);
  in_message_ = false;
  blank_.clear();
}

void MboxReader::take(const LinePart& line) {
  if (line.first && line.last) {
    if (const auto date = parse_from_line(line.text)) {
      end_message();
      status_ = {};
      in_message_ = in_header_ = true;
      return visitor_.begin(line.text, *date);
    }
  }
  if (!in_message_) {
    stray_ |= !line.blank();
    return;
  }
  const std::string_view text = line.text.substr(line.text.starts_with('>') && is_from_behind_marks(line) ? 1 : 0);
  if (in_header_) {
    in_header_ = !line.blank();
    if (!in_header_ || !status_.take(line)) visitor_.text(text);
    return;
  }
  if (!blank_.empty()) visitor_.text(blank_);
  blank_.clear();
  if (line.blank()) {
    blank_ = line.text;
  } else {
    visitor_.text(text);
  }
}

void MboxWriter::begin(std::string_view sender, UnixTime date, uint64_t flags, const std::vector<std::string>& keywords,
                       std::string& out) {
  out += format_from_line(sender, date);
  fields_ = (flags & Flags::kSeen) != 0 ? "Status: RO\n" : "Status: O\n";
  std::string letters;
  if ((flags & Flags::kAnswered) != 0) letters += 'A';
  if ((flags & Flags::kFlagged) != 0) letters += 'F';
  if ((flags & Flags::kDeleted) != 0) letters += 'D';
  if ((flags & Flags::kDraft) != 0) letters += 'T';
  if (!letters.empty()) fields_ += fmt::format("X-Status: {}\n", letters);
  if (!keywords.empty()) fields_ += fmt::format("X-Keywords: {}\n", fmt::join(keywords, " "));
}

void MboxWriter::text(std::string_view piece, std::string& out) {
  lines_.feed(piece, [&](const LinePart& line) { take(line, out); });
}

void MboxWriter::end(std::string& out) {
  lines_.finish([&](const LinePart& line) { take(line, out); });
  if (!ended_) out += '\n';
  if (in_header_) out += fields_;
  out += '\n';
}

void MboxWriter::take(const LinePart& line, std::string& out) {
  if (in_header_) {
    in_header_ = !line.blank();
    if (in_header_ && status_.take(line)) return;
    if (!in_header_) out += fields_;
  }
  if (is_from_behind_marks(line)) out += '>';
  out += line.text;
  ended_ = line.text.ends_with('\n');
}

}  // namespace postrider::mailctl
