// The same by several threads, as near to one moment as can be had.
#pragma once

#include <barrier>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace postrider::store {

/// What the exceptions of `work` said; empty where it threw none.
template <class Work>
std::vector<std::string> at_once(int threads, const Work& work) {
  std::vector<std::string> errors(threads);
  {
    std::barrier together(threads);
    std::vector<std::jthread> running;
    for (std::string& error : errors) {
      running.emplace_back([&] {
        together.arrive_and_wait();
        try {
          work();
        } catch (const std::exception& thrown) {
          error = thrown.what();
        }
      });
    }
  }
  std::erase(errors, "");
  return errors;
}

}  // namespace postrider::store
