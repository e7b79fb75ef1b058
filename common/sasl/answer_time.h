// When a failed login is answered.
#pragma once

#include <chrono>

namespace postrider::sasl {

/// delay after the question; where looking for the user and the password took longer than that, after twice, three
/// times as long. So the time says nothing of what was looked at: a user who is not there, a password here or in PAM.
inline std::chrono::steady_clock::time_point answer_time(std::chrono::steady_clock::time_point asked,
                                                         std::chrono::steady_clock::time_point now,
                                                         std::chrono::steady_clock::duration delay) {
  if (delay.count() <= 0) return now;
  const auto whole = (now - asked) / delay;
  return asked + delay * (whole + 1);
}

}  // namespace postrider::sasl
