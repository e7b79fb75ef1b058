// Log lines stay one line that a program can read, whatever octets a client put into them.
#include "common/base/log.h"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

#include "common/base/utf8.h"

namespace postrider {
namespace {

using testing::HasSubstr;

const auto kTime = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'042));

std::string line(LogFormat format, std::string_view value) {
  return format_log_line(format, kTime, LogLevel::warn, "mta", "some_event", {{"value", value}, {"count", 7}});
}

/// What a reader of logfmt finds: words, or quoted JSON strings.
std::map<std::string, std::string> parse_logfmt(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty() && text != "\n") {
    const size_t equals = text.find('=');
    const std::string key(text.substr(0, equals));
    EXPECT_EQ(key.find_first_of(" \"\n"), std::string::npos) << key;
    text.remove_prefix(equals + 1);
    size_t end = 0;
    if (text.starts_with('"')) {
      for (end = 1; text[end] != '"'; ++end) end += text[end] == '\\' ? 1 : 0;
      fields[key] = nlohmann::json::parse(text.substr(0, ++end)).get<std::string>();
    } else {
      end = text.find_first_of(" \n");
      fields[key] = text.substr(0, end);
    }
    text.remove_prefix(end);
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  return fields;
}

std::map<std::string, std::string> parse_json(const std::string& text) {
  return nlohmann::json::parse(text).get<std::map<std::string, std::string>>();
}

TEST(Log, LinesLookLikeThis) {
  EXPECT_EQ(line(LogFormat::logfmt, "word"),
            "time=2023-11-14T22:13:20.042Z level=warn program=mta event=some_event value=word count=7\n");
  EXPECT_EQ(line(LogFormat::logfmt, "two words"),
            "time=2023-11-14T22:13:20.042Z level=warn program=mta event=some_event value=\"two words\" count=7\n");
  EXPECT_EQ(line(LogFormat::json, "a \"b\""),
            "{\"time\":\"2023-11-14T22:13:20.042Z\",\"level\":\"warn\",\"program\":\"mta\",\"event\":\"some_event\","
            "\"value\":\"a \\\"b\\\"\",\"count\":\"7\"}\n");
}

TEST(Log, NothingIsAValueToo) {
  EXPECT_THAT(line(LogFormat::logfmt, ""), HasSubstr(" value=\"\" "));
  EXPECT_THAT(line(LogFormat::logfmt, std::string_view()), HasSubstr(" value=\"\" "));
  EXPECT_THAT(line(LogFormat::json, ""), HasSubstr("\"value\":\"\","));
}

TEST(Log, ABackslashOrAnEqualsSignIsQuoted) {
  EXPECT_THAT(line(LogFormat::logfmt, "a=b"), HasSubstr(" value=\"a=b\" "));
  EXPECT_THAT(line(LogFormat::logfmt, "a\\b"), HasSubstr(" value=\"a\\\\b\" "));
}

TEST(Log, BothFormatsGiveAnyOctetsBackAsOneLine) {
  std::vector<std::string> values{"\r\nlevel=error event=forged",
                                  "\xff\xfe",
                                  "\xc3",
                                  "\xed\xa0\x80",
                                  "\xf4\x90\x80\x80",
                                  "\x7f",
                                  std::string("a\0b", 3),
                                  "gr\xc3\xbc\xc3\x9f",
                                  "\xe2\x80\xa8",
                                  "\"",
                                  "\\",
                                  "\\\"",
                                  "{}[],:"};
  for (int octet = 0; octet < 256; ++octet) values.push_back("x" + std::string(1, static_cast<char>(octet)) + "y");
  for (int octet = 0x80; octet < 256; ++octet) values.emplace_back(1, static_cast<char>(octet));
  for (const std::string& value : values) {
    std::string expected;
    for (size_t i = 0; i < value.size();) {
      const size_t size = utf8_sequence(value, i);
      expected += size == 0 ? "\xef\xbf\xbd" : value.substr(i, size);
      i += std::max<size_t>(size, 1);
    }
    for (LogFormat format : {LogFormat::logfmt, LogFormat::json}) {
      const std::string text = line(format, value);
      EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
      EXPECT_TRUE(is_valid_utf8(text));
      const auto fields = format == LogFormat::json ? parse_json(text) : parse_logfmt(text);
      EXPECT_EQ(fields.at("value"), expected);
      EXPECT_EQ(fields.at("count"), "7");
      EXPECT_EQ(fields.at("level"), "warn");
      EXPECT_EQ(fields.size(), 6u);
    }
  }
}

}  // namespace
}  // namespace postrider
