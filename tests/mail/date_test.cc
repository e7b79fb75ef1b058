#include "common/mail/date.h"

#include <gtest/gtest.h>

namespace postrider {
namespace {

constexpr UnixTime kTime = 1'795'421'700;  // Mon, 23 Nov 2026 08:15:00 UTC

std::optional<UnixTime> time_of(std::string_view text) {
  auto parsed = parse_date_time(text);
  return parsed ? std::optional(parsed->time) : std::nullopt;
}

TEST(DateTime, IsFormattedInUtc) {
  EXPECT_EQ(format_date_time(kTime), "Mon, 23 Nov 2026 08:15:00 +0000");
  EXPECT_EQ(format_date_time(0), "Thu, 1 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(format_date_time(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
  EXPECT_EQ(format_date_time(951'782'400), "Tue, 29 Feb 2000 00:00:00 +0000");
}

TEST(DateTime, TimeOutsideOfAllYearsIsShownAsTheNearest) {
  EXPECT_EQ(format_date_time(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 +0000");
  EXPECT_EQ(format_date_time(INT64_MIN), "Sat, 1 Jan 0000 00:00:00 +0000");
}

TEST(DateTime, WhatIsFormattedIsParsed) {
  for (UnixTime time : {UnixTime{0}, kTime, UnixTime{-2'208'988'800}, UnixTime{253'402'300'799}}) {
    EXPECT_EQ(time_of(format_date_time(time)), time);
  }
  for (UnixTime time = 0; time < 4'000'000'000; time += 86'399 * 37) EXPECT_EQ(time_of(format_date_time(time)), time);
}

TEST(DateTime, ZonesAreTakenOff) {
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 09:15:00 +0100"), kTime);
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 02:45:00 -0530"), kTime);
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 03:15:00 EST"), kTime);
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 08:15:00 GMT"), kTime);
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 08:15:00 Z"), kTime);
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 08:15:00 XYZZY"), kTime);
  EXPECT_EQ(time_of("Mon, 23 Nov 2026 08:15:00 +9999"), kTime);
  EXPECT_EQ(parse_date_time("Mon, 23 Nov 2026 09:15:00 +0100")->zone_minutes, 60);
}

TEST(DateTime, LocalDayIsTheOneThatWasWritten) {
  EXPECT_EQ(parse_date_time("1 Jan 1970 01:00:00 +0200")->local_day(), 0);
  EXPECT_EQ(parse_date_time("1 Jan 1970 01:00:00 +0200")->time, -3'600);
  EXPECT_EQ(parse_date_time("31 Dec 1969 23:00:00 -0200")->local_day(), -1);
}

TEST(DateTime, ObsoleteAndSloppyFormsAreTaken) {
  for (const char* text :
       {"23 Nov 2026 08:15:00 +0000", "23 Nov 2026 08:15 +0000", "Monday, 23 November 2026 08:15:00 +0000",
        "23 Nov 26 08:15:00", "(c) Mon (c(c)\\)) , (x) 23 (y) Nov (z) 2026 08 : 15 : 00 +0000 (UTC)",
        "Mon,\r\n 23 Nov 2026\r\n 08:15:00 +0000", "mon, 23 nov 2026 08:15:00 gmt", "Fri, 23 Nov 2026 08:15:00 +0000",
        "Mon, 23-Nov-2026 08:15:00 GMT", "Mon 23 Nov 2026 08.15.00 +0000"}) {
    EXPECT_EQ(time_of(text), kTime) << text;
  }
}

TEST(DateTime, ShortYears) {
  EXPECT_EQ(time_of("1 Jan 70 00:00:00 +0000"), 0);
  EXPECT_EQ(time_of("1 Jan 49 00:00:00 +0000"), time_of("1 Jan 2049 00:00:00 +0000"));
  EXPECT_EQ(time_of("1 Jan 50 00:00:00 +0000"), time_of("1 Jan 1950 00:00:00 +0000"));
  EXPECT_EQ(time_of("1 Jan 124 00:00:00 +0000"), time_of("1 Jan 2024 00:00:00 +0000"));
}

TEST(DateTime, LeapSecondIsTheSecondBefore) {
  EXPECT_EQ(time_of("31 Dec 2016 23:59:60 +0000"), time_of("31 Dec 2016 23:59:59 +0000"));
}

TEST(DateTime, OutOfRangeFails) {
  for (const char* text : {"1 Jan 0000 00:00:00 +0000",
                           "1 Jan 1899 00:00:00 +0000",
                           "1 Jan 99999 00:00:00 +0000",
                           "1 Jan 10000 00:00:00 +0000",
                           "0 Jan 2024 00:00:00 +0000",
                           "32 Jan 2024 00:00:00 +0000",
                           "30 Feb 2024 00:00:00 +0000",
                           "29 Feb 2023 00:00:00 +0000",
                           "1 Foo 2024 00:00:00 +0000",
                           "1 Jan 2024 24:00:00 +0000",
                           "1 Jan 2024 00:60:00 +0000",
                           "1 Jan 2024 00:00:61 +0000",
                           "1 Jan 2024",
                           "Jan 2024 00:00:00",
                           "",
                           "garbage",
                           "((((",
                           "\\",
                           "1 Jan 2024 0",
                           "99999999999999999999 Jan 2024 00:00"}) {
    EXPECT_EQ(time_of(text), std::nullopt) << text;
  }
}

TEST(DateTime, MillionCommentsEnd) {
  EXPECT_EQ(time_of(std::string(1'000'000, '(') + "1 Jan 2024 00:00:00"), std::nullopt);
  std::string comments;
  for (int i = 0; i < 100'000; ++i) comments += "()";
  EXPECT_EQ(time_of(comments + "1 Jan 1970 00:00:00"), 0);
}

TEST(ImapDateTime, IsFormattedWithATwoCharacterDay) {
  EXPECT_EQ(format_imap_date_time(kTime), "23-Nov-2026 08:15:00 +0000");
  EXPECT_EQ(format_imap_date_time(0), " 1-Jan-1970 00:00:00 +0000");
  EXPECT_EQ(format_imap_date_time(0, -90), "31-Dec-1969 22:30:00 -0130");
}

TEST(ImapDateTime, IsParsed) {
  EXPECT_EQ(parse_imap_date_time("23-Nov-2026 08:15:00 +0000")->time, kTime);
  EXPECT_EQ(parse_imap_date_time(" 1-jan-1970 01:00:00 +0100")->time, 0);
  EXPECT_EQ(parse_imap_date_time("1-Jan-1970 00:00:00 +0000")->time, 0);
  EXPECT_EQ(parse_imap_date_time("01-Jan-1970 00:00:00 +0000")->time, 0);
  for (const char* text : {"", "1-Jan-0000 00:00:00 +0000", "01-Jan-1970", "01-Jan-1970 00:00:00",
                           "01-Jan-1970 00:00:00 GMT", "01-Jan-1970 0:00:00 +0000", "31-Feb-2024 00:00:00 +0000",
                           "01-Jan-99999 00:00:00 +0000", "  1-Jan-1970 00:00:00 +0000", "01-Jan-1970 00:00:00 +0000 ",
                           "01-Jan-1970 00:00:00 +2400", "01-Jan-1970 -0:00:00 +0000", "-1-Jan-1970 00:00:00 +0000"}) {
    EXPECT_FALSE(parse_imap_date_time(text).has_value()) << text;
  }
}

TEST(ImapDate, IsParsed) {
  EXPECT_EQ(parse_imap_date("1-Jan-1970"), 0);
  EXPECT_EQ(parse_imap_date("02-JAN-1970"), 1);
  EXPECT_EQ(parse_imap_date("31-Dec-1969"), -1);
  EXPECT_EQ(parse_imap_date("1-Jan-0001"), -719'162);
  for (const char* text : {"", "1-Jan-70", "1-Jan-0000", "32-Jan-1970", "1-Janu-1970", "1 Jan 1970", "001-Jan-1970",
                           "1-Jan-1970 ", "-Jan-1970"}) {
    EXPECT_FALSE(parse_imap_date(text).has_value()) << text;
  }
}

TEST(DayOf, RoundsDown) {
  EXPECT_EQ(day_of(0), 0);
  EXPECT_EQ(day_of(86'399), 0);
  EXPECT_EQ(day_of(-1), -1);
  EXPECT_EQ(day_of(-86'400), -1);
  EXPECT_EQ(day_of(-86'401), -2);
}

TEST(InternetDateTime, IsReadStrictly) {
  EXPECT_EQ(parse_internet_date_time("2026-11-23T08:15:00Z")->time, kTime);
  EXPECT_EQ(parse_internet_date_time("2026-11-23t09:15:00.25+01:00")->time, kTime);
  EXPECT_EQ(parse_internet_date_time("2026-11-23T08:15:00-00:00")->time, kTime);
  for (std::string_view text :
       {"", "2026-11-23", "2026-11-23T08:15:00", "2026-11-23 08:15:00Z", "2026-11-23T08:15Z", "2026-02-29T08:15:00Z",
        "2026-13-01T08:15:00Z", "2026-11-00T08:15:00Z", "2026-11-23T24:15:00Z", "2026-11-23T08:15:00.Z",
        "2026-11-23T08:15:00+0100", "2026-11-23T08:15:00+25:00", "26-11-23T08:15:00Z00000"}) {
    EXPECT_FALSE(parse_internet_date_time(text)) << text;
  }
}

}  // namespace
}  // namespace postrider
