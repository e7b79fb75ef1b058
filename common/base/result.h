// An expected failure is a value: Result<T> holds a T or an Error whose message is a sentence for a person.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace postrider {

struct Error {
  explicit Error(std::string text) : message(std::move(text)) {}
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> failure(std::string message) {
  return tl::unexpected<Error>(Error(std::move(message)));
}

}  // namespace postrider
