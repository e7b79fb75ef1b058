#include "common/mail/date.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/ascii.h"
#include "common/base/number.h"

namespace postrider {
namespace {

constexpr std::array<std::string_view, 7> kDayNames = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonthNames = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr UnixTime kFirstTime = -62'167'219'200;  // 0000-01-01 00:00:00
constexpr UnixTime kLastTime = 253'402'300'799;   // 9999-12-31 23:59:59

struct Civil {
  int64_t year = 0;
  int month = 0;  // 1 to 12
  int day = 0;    // 1 to 31
};

/// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
int64_t days_from_civil(const Civil& date) {
  int64_t year = date.month <= 2 ? date.year - 1 : date.year;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

Civil civil_from_days(int64_t days) {
  days += 719'468;
  int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  int64_t day_of_era = days - era * 146'097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t month_from_march = (5 * day_of_year + 2) / 153;
  Civil date;
  date.day = static_cast<int>(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  date.month = static_cast<int>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
  date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
  return date;
}

bool is_leap(int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int days_in_month(int64_t year, int month) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[static_cast<size_t>(month - 1)];
}

/// 1 to 12, or 0. A longer name counts by its first three letters ("Sept", "January").
int month_number(std::string_view name) {
  for (size_t i = 0; i < kMonthNames.size(); ++i) {
    if (istarts_with(name, kMonthNames[i])) return static_cast<int>(i + 1);
  }
  return 0;
}

/// RFC 5322 4.3 obs-zone in minutes; military letters and unknown names are +0000 there.
int zone_of_name(std::string_view name) {
  struct Zone {
    std::string_view name;
    int hours;
  };
  constexpr std::array<Zone, 8> kZones = {
      {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}}};
  for (const auto& zone : kZones) {
    if (iequals(name, zone.name)) return zone.hours * 60;
  }
  return 0;
}

/// "+hhmm" or "-hhmm"; nothing where it is not that or out of range.
std::optional<int> zone_of_digits(std::string_view text) {
  if (text.size() != 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  auto hours = parse_number<unsigned>(text.substr(1, 2));
  auto minutes = parse_number<unsigned>(text.substr(3, 2));
  if (!hours || !minutes || *minutes > 59 || *hours > 23) return std::nullopt;
  int zone = static_cast<int>(*hours * 60 + *minutes);
  return text[0] == '-' ? -zone : zone;
}

/// A token cursor: words (letters, digits, signs) with everything between them stepped over, comments too.
class DateCursor {
 public:
  explicit DateCursor(std::string_view text) : text_(text) {}

  /// Digits at the cursor, at most nine of them; nothing where there are none.
  std::optional<unsigned> number(size_t* digits = nullptr) {
    skip();
    size_t size = 0;
    while (size < text_.size() && is_digit(text_[size])) ++size;
    if (size == 0 || size > 9) return std::nullopt;
    auto value = parse_number<unsigned>(text_.substr(0, size));
    text_.remove_prefix(size);
    if (digits != nullptr) *digits = size;
    return value;
  }
  std::string_view letters() {
    skip();
    size_t size = 0;
    while (size < text_.size() && is_alpha(text_[size])) ++size;
    auto word = text_.substr(0, size);
    text_.remove_prefix(size);
    return word;
  }
  bool take(char c) {
    skip();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool at_sign() {
    skip();
    return !text_.empty() && (text_.front() == '+' || text_.front() == '-');
  }
  std::string_view take_octets(size_t count) {
    auto taken = text_.substr(0, count);
    text_.remove_prefix(taken.size());
    return taken;
  }

 private:
  /// Blanks, line ends and comments, nested to any depth without recursion.
  void skip() {
    size_t depth = 0;
    size_t i = 0;
    for (; i < text_.size(); ++i) {
      char c = text_[i];
      if (c == '(') {
        ++depth;
      } else if (depth > 0 && c == ')') {
        --depth;
      } else if (depth > 0 && c == '\\') {
        ++i;
      } else if (depth == 0 && !is_wsp(c) && c != '\r' && c != '\n') {
        break;
      }
    }
    text_.remove_prefix(std::min(i, text_.size()));
  }

  std::string_view text_;
};

std::optional<int64_t> full_year(unsigned year, size_t digits) {
  if (digits <= 2) year += year < 50 ? 2000 : 1900;
  if (digits == 3) year += 1900;
  if (year < 1900 || year > 9999) return std::nullopt;
  return year;
}

/// day month year, with blanks or hyphens between them.
std::optional<Civil> take_date(DateCursor& cursor) {
  auto day = cursor.number();
  cursor.take('-');
  int month = month_number(cursor.letters());
  cursor.take('.');
  cursor.take('-');
  size_t digits = 0;
  auto written = cursor.number(&digits);
  if (!day || month == 0 || !written) return std::nullopt;
  auto year = full_year(*written, digits);
  if (!year || *day < 1 || *day > static_cast<unsigned>(days_in_month(*year, month))) return std::nullopt;
  return Civil{*year, month, static_cast<int>(*day)};
}

/// hh:mm[:ss] in seconds. A leap second counts as the second before it.
std::optional<int64_t> take_time(DateCursor& cursor) {
  auto hour = cursor.number();
  if (!hour || *hour > 23 || !(cursor.take(':') || cursor.take('.'))) return std::nullopt;
  auto minute = cursor.number();
  if (!minute || *minute > 59) return std::nullopt;
  unsigned second = 0;
  if (cursor.take(':') || cursor.take('.')) {
    auto written = cursor.number();
    if (!written || *written > 60) return std::nullopt;
    second = std::min(*written, 59U);
  }
  return *hour * 3600 + *minute * 60 + second;
}

int take_zone(DateCursor& cursor) {
  if (cursor.at_sign()) return zone_of_digits(cursor.take_octets(5)).value_or(0);
  return zone_of_name(cursor.letters());
}

/// dd-Mon-yyyy exactly, dd of one or two digits.
std::optional<int64_t> imap_days(std::string_view text) {
  size_t hyphen = text.find('-');
  if (hyphen == 0 || hyphen > 2 || text.size() != hyphen + 9 || text[hyphen + 4] != '-') return std::nullopt;
  auto day = parse_number<unsigned>(text.substr(0, hyphen));
  int month = month_number(text.substr(hyphen + 1, 3));
  auto year = parse_number<unsigned>(text.substr(hyphen + 5));
  if (!day || month == 0 || !year || *year == 0) return std::nullopt;
  if (*day < 1 || *day > static_cast<unsigned>(days_in_month(*year, month))) return std::nullopt;
  return days_from_civil({*year, month, static_cast<int>(*day)});
}

/// hh:mm:ss exactly.
std::optional<int64_t> imap_seconds(std::string_view text) {
  if (text.size() != 8 || text[2] != ':' || text[5] != ':') return std::nullopt;
  auto hour = parse_number<unsigned>(text.substr(0, 2));
  auto minute = parse_number<unsigned>(text.substr(3, 2));
  auto second = parse_number<unsigned>(text.substr(6, 2));
  if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return *hour * 3600 + *minute * 60 + std::min(*second, 59U);
}

}  // namespace

int64_t DateTime::local_day() const {
  return day_of(time + zone_minutes * 60);
}

std::string format_date_time(UnixTime time) {
  time = std::clamp(time, kFirstTime, kLastTime);
  int64_t days = day_of(time);
  int64_t second = time - days * 86'400;
  Civil date = civil_from_days(days);
  auto weekday = static_cast<size_t>(((days + 4) % 7 + 7) % 7);  // 1970-01-01 was a Thursday
  return fmt::format("{}, {} {} {:04} {:02}:{:02}:{:02} +0000", kDayNames[weekday], date.day,
                     kMonthNames[static_cast<size_t>(date.month - 1)], date.year, second / 3600, second / 60 % 60,
                     second % 60);
}

std::optional<DateTime> parse_date_time(std::string_view text) {
  DateCursor cursor(text);
  cursor.letters();  // a day name; a wrong one harms nobody
  cursor.take('.');
  cursor.take(',');
  auto date = take_date(cursor);
  if (!date) return std::nullopt;
  auto seconds = take_time(cursor);
  if (!seconds) return std::nullopt;
  int zone = take_zone(cursor);
  return DateTime{days_from_civil(*date) * 86'400 + *seconds - zone * 60, zone};
}

std::string format_imap_date_time(UnixTime time, int zone_minutes) {
  UnixTime local = std::clamp(time + zone_minutes * 60, kFirstTime, kLastTime);
  int64_t days = day_of(local);
  int64_t second = local - days * 86'400;
  Civil date = civil_from_days(days);
  int zone = std::abs(zone_minutes);
  return fmt::format("{:2}-{}-{:04} {:02}:{:02}:{:02} {}{:02}{:02}", date.day,
                     kMonthNames[static_cast<size_t>(date.month - 1)], date.year, second / 3600, second / 60 % 60,
                     second % 60, zone_minutes < 0 ? '-' : '+', zone / 60, zone % 60);
}

std::optional<DateTime> parse_imap_date_time(std::string_view text) {
  if (text.starts_with(' ')) text.remove_prefix(1);
  size_t space = text.find(' ');
  if (space == std::string_view::npos || text.size() != space + 15 || text[space + 9] != ' ') return std::nullopt;
  auto days = imap_days(text.substr(0, space));
  auto seconds = imap_seconds(text.substr(space + 1, 8));
  auto zone = zone_of_digits(text.substr(space + 10));
  if (!days || !seconds || !zone) return std::nullopt;
  return DateTime{*days * 86'400 + *seconds - *zone * 60, *zone};
}

std::optional<DateTime> parse_internet_date_time(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't')) return std::nullopt;
  auto year = parse_number<unsigned>(text.substr(0, 4));
  auto month = parse_number<unsigned>(text.substr(5, 2));
  auto day = parse_number<unsigned>(text.substr(8, 2));
  auto seconds = imap_seconds(text.substr(11, 8));
  if (!year || !month || !day || !seconds || *month < 1 || *month > 12 || *day < 1) return std::nullopt;
  const Civil date{*year, static_cast<int>(*month), static_cast<int>(*day)};
  if (date.day > days_in_month(date.year, date.month)) return std::nullopt;
  text.remove_prefix(19);
  if (text.starts_with('.')) {
    size_t digits = 1;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits == 1) return std::nullopt;
    text.remove_prefix(digits);
  }
  if (text == "Z" || text == "z") return DateTime{days_from_civil(date) * 86'400 + *seconds, 0};
  if (text.size() != 6 || text[3] != ':') return std::nullopt;
  auto zone = zone_of_digits(std::string(text.substr(0, 3)) + std::string(text.substr(4)));
  if (!zone) return std::nullopt;
  return DateTime{days_from_civil(date) * 86'400 + *seconds - *zone * 60, *zone};
}

std::optional<int64_t> parse_imap_date(std::string_view text) {
  return imap_days(text);
}

}  // namespace postrider
