#include "tests/fuzz/fuzz_state.h"

#include <argon2.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include "tests/fuzz/must.h"

namespace postrider::fuzz {

namespace {

constexpr std::string_view kPrefix = "postrider-fuzz-";

std::filesystem::path memory() {
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

void remove_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

/// Those of this process, until it ends.
struct Folders {
  std::vector<std::string> all;
  ~Folders() {
    for (const std::string& folder : all) remove_folder(folder);
  }
};

/// A target that found something was killed, and left its folder behind.
void remove_those_of_the_dead() {
  for (const auto& entry : std::filesystem::directory_iterator(memory())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const std::string process = name.substr(kPrefix.size(), name.find('.') - kPrefix.size());
    if (!std::filesystem::exists("/proc/" + process)) remove_folder(entry.path());
  }
}

}  // namespace

State::State() {
  static Folders folders;
  if (folders.all.empty()) remove_those_of_the_dead();
  const std::string process = std::to_string(::getpid());
  path_ = memory() / (std::string(kPrefix) + process + "." + std::to_string(folders.all.size()));
  remove_folder(path_);
  folders.all.push_back(path_);
  std::filesystem::create_directories(file("spool"));
  std::filesystem::create_directories(file("run"));
}

sasl::PasswordRecord cheap_password(const std::string& password) {
  constexpr uint32_t kPasses = 1, kMemoryKib = 8, kLanes = 1, kHashOctets = 32;
  constexpr int kIterations = 4'096;
  const std::string salt = "0123456789abcdef";
  std::array<char, 200> encoded{};
  must(argon2id_hash_encoded(kPasses, kMemoryKib, kLanes, password.data(), password.size(), salt.data(), salt.size(),
                             kHashOctets, encoded.data(), encoded.size()) == ARGON2_OK,
       "argon2");
  sasl::PasswordRecord record;
  record.argon2id = encoded.data();
  record.scram_salt = salt;
  record.scram_iterations = kIterations;
  const auto keys = sasl::derive_scram_keys(password, salt, kIterations);
  record.stored_key = keys.stored_key;
  record.server_key = keys.server_key;
  return record;
}

}  // namespace postrider::fuzz
