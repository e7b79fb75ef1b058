// A queue in a temporary folder, and messages to put into it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/queue.h"
#include "tests/store/temp_state.h"

namespace postrider::store {

class QueueTest : public testing::Test {
 protected:
  QueueTest() { open(); }
  void open() { queue_ = std::make_unique<Queue>(state_.path(), clock_); }

  /// A message for as many recipients, local ones first; account 0 is remote.
  QueuedMessage make(std::vector<AccountId> accounts, std::string text = "Subject: x\r\n\r\nhello\r\n") {
    QueuedMessage message;
    message.id = queue_->next_id();
    message.reverse_path = "sender@example.net";
    message.accepted = clock_.unix_time();
    Spool spool(queue_->spool_directory());
    spool.append(text);
    spool.sync();
    message.body = std::make_shared<const Spool>(std::move(spool));
    for (AccountId account : accounts) {
      QueuedRecipient recipient;
      recipient.number = static_cast<int64_t>(message.recipients.size()) + 1;
      recipient.account = account;
      recipient.address = "to@example.org";
      recipient.next_attempt = clock_.unix_time();
      message.recipients.push_back(recipient);
    }
    return message;
  }
  void accept(const QueuedMessage& message) {
    const QueuedMessage* accepted[] = {&message};
    queue_->commit(accepted, {});
  }
  static RecipientUpdate ended(QueueId message, int64_t number) {
    RecipientUpdate update;
    update.message = message;
    update.number = number;
    update.ended = true;
    return update;
  }
  void update(const RecipientUpdate& update) { queue_->update({&update, 1}); }
  std::vector<QueuedMessage> take_local() { return queue_->take_due(clock_.unix_time(), true, 100); }
  static std::string text_of(const QueuedMessage& message) {
    std::string text;
    message.body->read([&](std::string_view piece) { text += piece; });
    return text;
  }
  size_t spool_files() {
    auto begin = std::filesystem::directory_iterator(queue_->spool_directory());
    return static_cast<size_t>(std::distance(begin, std::filesystem::directory_iterator()));
  }

  TempState state_;
  ManualClock clock_{1'700'000'000};
  std::unique_ptr<Queue> queue_;
};

}  // namespace postrider::store
