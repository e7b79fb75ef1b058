#include "mta/relay_content.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/mail/address.h"
#include "common/mail/downgrade.h"
#include "common/mail/header.h"
#include "store/convert.h"

namespace postrider {
namespace {

bool takes_binary(const smtp::Extensions& offered) {
  return offered.has("BINARYMIME") && offered.has("CHUNKING");
}

}  // namespace

bool content_fits(const store::QueuedMessage& message, const smtp::Extensions& offered) {
  if (message.smtputf8 && !offered.has("SMTPUTF8")) return false;
  if (message.binary) return takes_binary(offered);
  return !message.eight_bit || offered.has("8BITMIME");
}

FittedContent fit_content(const store::QueuedMessage& message, const smtp::Extensions& offered,
                          const std::string& directory) {
  FittedContent fitted;
  ContentScanner whole;
  std::string head;  // enough of it to know how far it goes, or as much as is looked at
  message.body->read([&](std::string_view piece) {
    whole.feed(piece);
    if (head.empty()) head = piece;
  });
  head.resize(header_block_size(head));
  fitted.utf8_header = message.smtputf8 && has_8bit(head);
  const bool seven_bit = !offered.has("8BITMIME");
  const bool binary = message.binary && !takes_binary(offered);
  fitted.content.body = message.body;
  fitted.content.binary = message.binary && !binary;
  fitted.content.eight_bit = message.eight_bit && !seven_bit && whole.has_8bit();
  const bool too_much = (seven_bit && message.eight_bit && whole.has_8bit()) || (binary && whole.is_binary());
  if (!too_much || fitted.content.binary) return fitted;

  const ReadMessage read = [&](const auto& sink) { message.body->read(sink); };
  auto plan = plan_downgrade(read, seven_bit ? ContentLimit::seven_bit : ContentLimit::eight_bit, binary);
  if (!plan) {
    fitted.trouble = plan.error().message;
    return fitted;
  }
  fitted.content.body = store::convert(*message.body, std::move(*plan), directory);
  fitted.content.eight_bit = fitted.content.eight_bit && !seven_bit;
  return fitted;
}

std::string ascii_address(const std::string& address) {
  if (!has_8bit(address)) return address;
  const size_t at = address.rfind('@');
  if (at == std::string::npos || has_8bit(std::string_view(address).substr(0, at))) return {};
  auto domain = normalize_domain(std::string_view(address).substr(at + 1));
  return domain ? address.substr(0, at + 1) + *domain : std::string();
}

std::string ascii_orcpt(const std::string& orcpt) {
  std::string out;
  for (size_t at = 0; at < orcpt.size();) {
    const size_t length = utf8_sequence(orcpt, at);
    if (length == 0) return {};  // nothing that could be said of it
    if (length == 1) {
      out += orcpt[at];
    } else {
      uint32_t point = static_cast<unsigned char>(orcpt[at]) & (0xff >> (length + 1));
      for (size_t i = 1; i < length; ++i) point = point << 6 | (static_cast<unsigned char>(orcpt[at + i]) & 0x3f);
      out += fmt::format("\\x{{{:X}}}", point);
    }
    at += length;
  }
  return out;
}

}  // namespace postrider
