// Every input of the corpus through its fuzz target, without libFuzzer: what once broke something does not do so again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" {
#define TARGET(name) int fuzz_##name(const uint8_t* data, size_t size);
#include "fuzz_targets.h"
#undef TARGET
}

namespace {

using Target = int (*)(const uint8_t*, size_t);

std::vector<std::filesystem::path> inputs_of(const std::string& name) {
  std::vector<std::filesystem::path> inputs;
  const std::filesystem::path folder = std::filesystem::path(POSTRIDER_SOURCE) / "tests/fuzz/corpus" / name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) inputs.push_back(entry.path());
  std::sort(inputs.begin(), inputs.end());
  return inputs;
}

/// A target that does not hold ends the process: the name of the input is the last line before it.
void replay(const std::string& name, Target target) {
  const auto inputs = inputs_of(name);
  ASSERT_FALSE(inputs.empty());
  for (const auto& input : inputs) {
    std::ifstream file(input, std::ios::binary);
    const std::string octets{std::istreambuf_iterator<char>(file), {}};
    std::fprintf(stderr, "%s/%s\n", name.c_str(), input.filename().c_str());
    // A copy of exactly this size, so that a sanitizer sees what is read beyond it.
    const std::vector<uint8_t> data(octets.begin(), octets.end());
    EXPECT_EQ(target(data.data(), data.size()), 0);
    // What a target keeps between runs changes nothing.
    EXPECT_EQ(target(data.data(), data.size() / 2), 0);
  }
}

#define TARGET(name)            \
  TEST(Corpus, name) {          \
    replay(#name, fuzz_##name); \
  }
#include "fuzz_targets.h"
#undef TARGET

}  // namespace
