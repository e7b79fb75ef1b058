#include "store/convert.h"

#include <utility>

namespace postrider::store {
namespace {

constexpr size_t kPiece = 64 << 10;  // octets that are written at once

}  // namespace

std::shared_ptr<const Spool> convert(const Spool& message, DowngradePlan plan, const std::string& directory) {
  Spool converted(directory);
  std::string buffer;
  auto flush = [&] {
    converted.append(buffer);
    buffer.clear();
  };
  Downgrader downgrader(std::move(plan));
  message.read([&](std::string_view piece) {
    downgrader.feed(piece, buffer);
    if (buffer.size() >= kPiece) flush();
  });
  downgrader.finish(buffer);
  flush();
  return std::make_shared<const Spool>(std::move(converted));
}

std::shared_ptr<const Spool> without_nul(const Spool& message, const std::string& directory) {
  const ReadMessage read = [&](const auto& sink) { message.read(sink); };
  auto plan = plan_downgrade(read, ContentLimit::eight_bit, true);
  return plan ? convert(message, std::move(*plan), directory) : nullptr;
}

}  // namespace postrider::store
