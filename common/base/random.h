// Unguessable bytes (getrandom(2)). Throws std::runtime_error when the system has none to give.
#pragma once

#include <cstdint>
#include <string>

namespace postrider {

std::string random_bytes(size_t count);
uint64_t random_u64();

}  // namespace postrider
