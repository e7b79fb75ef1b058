#include "mta/incoming_message.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/mail/header.h"

namespace postrider {
namespace {

/// Eight octets at a time: this sees every octet of every message.
bool has_high_octet(std::string_view text) {
  constexpr uint64_t kHigh = 0x8080808080808080;
  uint64_t bits = 0;
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, sizeof word);
    bits |= word;
  }
  for (; at < text.size(); ++at) bits |= static_cast<unsigned char>(text[at]);
  return (bits & kHigh) != 0;
}

}  // namespace

void IncomingMessage::took() {
  if (!refusal_ && size() > max_size_) {
    refuse(
        smtp::Reply(552, smtp::status::kMessageTooLarge,
                    fmt::format("the message is larger than {} octets, which is all that is taken here", max_size_)));
  }
  if (refusal_) {
    stored_ += tail_.size();
    tail_.clear();
  }
}

void IncomingMessage::refuse(smtp::Reply reply) {
  if (!refusal_) refusal_ = std::move(reply);
}

std::string_view IncomingMessage::head() const {
  return std::string_view(tail_).substr(0, header_block_size(tail_));
}

void IncomingMessage::begin(std::string fields) {
  begun_ = true;
  fields_ = std::move(fields);
}

void IncomingMessage::store(std::string& trouble) {
  if (refusal_) return;
  eight_bit_ = eight_bit_ || has_high_octet(tail_);
  try {
    spool_->append(tail_);
  } catch (const std::system_error& error) {
    failed(error.code().value(), error.what(), trouble);
  }
  stored_ += tail_.size();
  tail_.clear();
}

void IncomingMessage::rewrite(std::string_view head, const store::Spool& body, uint64_t offset, size_t covered,
                              std::string& trouble) {
  try {
    auto fresh = std::make_shared<store::Spool>(directory_);
    fresh->append(head);
    std::string buffer;
    while (offset < body.size()) {
      const std::string_view piece = body.read_at(offset, buffer);
      fresh->append(piece);
      eight_bit_ = eight_bit_ || has_high_octet(piece);
      offset += piece.size();
    }
    eight_bit_ = eight_bit_ || has_high_octet(head);
    fields_.resize(fields_.size() - covered);
    spool_ = std::move(fresh);
  } catch (const std::system_error& error) {
    failed(error.code().value(), error.what(), trouble);
  }
}

void IncomingMessage::complete(std::string& trouble) {
  try {
    spool_->prepend(fields_);
    spool_->sync();
  } catch (const std::system_error& error) {
    failed(error.code().value(), error.what(), trouble);
  }
}

void IncomingMessage::failed(int code, std::string_view what, std::string& trouble) {
  trouble = what;
  if (code == ENOSPC || code == EDQUOT) {
    refuse(smtp::Reply(452, smtp::status::kStorageFull, "the disk here is full; try again later"));
  } else {
    refuse(smtp::Reply(451, smtp::status::kSystemTrouble, "the message could not be written here; try again later"));
  }
}

}  // namespace postrider
