// A state folder in memory for as long as a fuzz target runs, and a password that costs nothing to check.
//
// What uses such a folder is made once and never destroyed: the store has statics of its own, which would go before it.
#pragma once

#include <string>

#include "common/sasl/password.h"

namespace postrider::fuzz {

class State {
 public:
  /// With spool and run in it. Removed when the process ends, or when another one begins after one that was killed.
  State();
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

/// As make_password_record() makes it, with the least that Argon2 and SCRAM take.
sasl::PasswordRecord cheap_password(const std::string& password);

}  // namespace postrider::fuzz
