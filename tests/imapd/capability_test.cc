// What CAPABILITY announces and the table in docs/imap.md are the same, and the tests that the table names are there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

using Names = std::set<std::string>;

constexpr std::string_view kRoot = POSTRIDER_SOURCE;

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (size_t end = 0; end != std::string_view::npos;) {
    end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end != std::string_view::npos) text.remove_prefix(end + separator.size());
  }
  return parts;
}

struct Row {
  std::vector<std::string> names, tests;
};

std::vector<Row> table() {
  std::vector<Row> rows;
  std::ifstream file(std::string(kRoot) + "/docs/imap.md");
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> cells = split(line, " | ");
    if (cells.size() != 4 || cells[0] == "| Extension") continue;
    rows.push_back({split(cells[0].substr(2), ", "), split(cells[3].substr(0, cells[3].find(" |")), ", ")});
  }
  return rows;
}

/// Adds the words of a CAPABILITY response or code; a limit goes without its number.
void add(Names& names, std::string_view line) {
  constexpr std::string_view kBegin = "CAPABILITY ";
  size_t begin = line.find(kBegin);
  ASSERT_NE(begin, std::string_view::npos) << line;
  line.remove_prefix(begin + kBegin.size());
  for (std::string& word : split(line.substr(0, line.find(']')), " ")) {
    for (std::string_view limit : {"APPENDLIMIT", "MESSAGELIMIT", "SAVELIMIT"}) {
      if (word.starts_with(limit)) word = limit;
    }
    names.insert(word);
  }
}

Names announced() {
  Names names;
  Transcript::Options options;
  for (auto [message_limit, save_limit] : {std::pair(0, 0), std::pair(1'000, 0), std::pair(0, 1'000)}) {
    options.message_limit = static_cast<uint64_t>(message_limit);
    options.save_limit = static_cast<uint64_t>(save_limit);
    Transcript t(options);
    Client stranger(t.port());
    add(names, stranger.line());
    Client& client = t.session('A');
    client.send("a CAPABILITY\r\n");
    add(names, client.line());
  }
  options.tls = true;
  Transcript t(options);
  t.service().services().loopback_is_private = false;
  Client stranger(t.port());
  add(names, stranger.line());
  return names;
}

TEST(Capability, AnnouncesWhatIsWrittenDown) {
  // Within TLS alone; tls_test and e2e/login see them.
  Names names = announced();
  names.insert({"AUTH=SCRAM-SHA-256-PLUS", "AUTH=EXTERNAL"});
  Names written;
  for (const Row& row : table()) {
    for (const std::string& name : row.names) EXPECT_TRUE(written.insert(name).second) << name << " is there twice";
  }
  for (const std::string& name : names) EXPECT_TRUE(written.contains(name)) << name << " has no row";
  for (const std::string& name : written) EXPECT_TRUE(names.contains(name)) << name << " is not announced";
}

TEST(Capability, HasATestForEachRow) {
  for (const Row& row : table()) {
    EXPECT_FALSE(row.tests.empty());
    for (const std::string& test : row.tests) {
      bool there = false;
      for (std::string_view folder : {"imapd/", "imap_proto/", ""}) {
        there |= std::filesystem::exists(fmt::format("{}/tests/{}{}.cc", kRoot, folder, test)) ||
                 std::filesystem::exists(fmt::format("{}/tests/{}{}_test.py", kRoot, folder, test));
      }
      EXPECT_TRUE(there) << row.names.front() << " names the test " << test;
    }
  }
}

}  // namespace
}  // namespace postrider::imap
