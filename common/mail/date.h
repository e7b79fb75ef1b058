// Dates of mail: RFC 5322 3.3 and 4.3 date-time, IMAP date-time and date (RFC 3501 9). Pure arithmetic on the proleptic
// Gregorian calendar: no locale, no time zone data, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"

namespace postrider {

struct DateTime {
  UnixTime time = 0;     // seconds since 1970-01-01 UTC
  int zone_minutes = 0;  // east of UTC, as it was written

  /// The day that was written, in the writer's own zone, as days since 1970-01-01: what SENTON and SENTBEFORE compare.
  int64_t local_day() const;
};

/// "Mon, 23 Nov 2026 08:15:00 +0000". A time outside of the years 0 to 9999 is shown as the nearest that is inside.
std::string format_date_time(UnixTime time);

/// Tolerant: comments and folding anywhere, no or a wrong day name, two- and three-digit years, obsolete and missing
/// zones (unknown ones are +0000, as RFC 5322 4.3 has it), no seconds. Fails where day, month, year or hour is missing
/// or out of its range, and on years before 1900 or after 9999.
std::optional<DateTime> parse_date_time(std::string_view text);

/// IMAP date-time without its quotes: "23-Nov-2026 08:15:00 +0000"; the day is two characters, " 3-Nov-2026 ...".
std::string format_imap_date_time(UnixTime time, int zone_minutes = 0);

/// IMAP date-time without its quotes, strict but for a one-digit day without its space. Years 1 to 9999.
std::optional<DateTime> parse_imap_date_time(std::string_view text);

/// IMAP date ("3-Nov-2026", without quotes, strict): days since 1970-01-01. Years 1 to 9999.
std::optional<int64_t> parse_imap_date(std::string_view text);

/// Internet date-time (RFC 3339), strict: "2026-11-23T08:15:00Z", "2026-11-23T09:15:00.5+01:00"; parts of seconds are
/// passed over.
std::optional<DateTime> parse_internet_date_time(std::string_view text);

/// The UTC day that a time is in, as days since 1970-01-01.
constexpr int64_t day_of(UnixTime time) {
  return (time >= 0 ? time : time - 86'399) / 86'400;
}

}  // namespace postrider
