// A state folder for one test, removed afterwards.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "store/account.h"
#include "store/message_source.h"

namespace postrider::store {

class TempState {
 public:
  TempState() {
    path_ = std::filesystem::temp_directory_path() / ("postrider-test-" + std::to_string(random_u64()));
    std::filesystem::create_directories(path_ / "spool");
    std::filesystem::create_directories(path_ / "run");
  }
  ~TempState() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }
  std::string file(const std::string& name) const { return path_ / name; }

  std::shared_ptr<const Spool> spool(std::string_view text) const {
    auto spool = std::make_shared<Spool>(file("spool"));
    for (size_t offset = 0; offset < text.size(); offset += 10'000) spool->append(text.substr(offset, 10'000));
    return spool;
  }
  PreparedMessage message(std::string_view text) const { return prepare_message(spool(text)); }

 private:
  std::filesystem::path path_;
};

inline std::string simple_message(std::string_view subject, size_t body_octets = 20) {
  std::string text = "From: a@example.test\r\nTo: b@example.test\r\nSubject: " + std::string(subject) + "\r\n\r\n";
  size_t end = text.size() + body_octets;
  while (text.size() < end) text += "0123456789 abcdefghij\r\n";
  return text;
}

}  // namespace postrider::store
