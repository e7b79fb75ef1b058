#include "mta/drop_filters.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"

namespace postrider {
namespace {

bool is_temporary(const smtp::Reply& reply) {
  return reply.code / 100 == 4;
}

/// "550 5.7.1 no", as the queue keeps what a server said. In a filter's own words the status stands in the text.
std::string on_one_line(const smtp::Reply& reply) {
  std::string text = fmt::format("{} {}{}{}", reply.code, reply.status, reply.status.empty() ? "" : " ", reply.text);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// Unless something else is wrong with it already.
void bounce(store::QueuedRecipient& recipient, const std::string& reply) {
  if (recipient.wish == store::Wish::bounce) return;
  recipient.wish = store::Wish::bounce;
  recipient.last_reply = reply;
}

}  // namespace

/// What is asked and what is said; shared with the loop, which may be stopped in the middle of it.
struct DropFilters::Question {
  MilterChain chain;
  std::string hostname;
  std::string sender;
  std::vector<std::string> recipients;  // as they were given, each once
  MilterMessage shown;
  std::optional<smtp::Reply> refusal = std::nullopt;              // of the message as a whole
  std::vector<std::pair<std::string, smtp::Reply>> refused = {};  // of the recipients
  bool discard = false, failed = false, done = false;

  /// Whether nobody else is asked.
  bool ends_with(MilterAnswer answer) {
    discard = answer.discard;
    refusal = std::move(answer.refusal);
    return discard || refusal;
  }
};

asio::awaitable<void> DropFilters::run(std::shared_ptr<Question> question) {
  MilterClient::Hello hello;
  hello.client_name = "localhost";
  hello.client_address = "127.0.0.1";
  hello.helo = question->hostname;
  std::vector<std::string> strings{'<' + question->sender + '>'};
  auto answer = co_await question->chain.mail(std::move(hello), std::move(strings));
  if (question->ends_with(std::move(answer))) co_return;
  for (const std::string& recipient : question->recipients) {
    question->chain.set("{rcpt_mailer}", "local");
    question->chain.set("{rcpt_addr}", recipient);
    question->chain.set("{rcpt_host}", recipient.substr(recipient.rfind('@') + 1));
    std::vector<std::string> path{'<' + recipient + '>'};
    answer = co_await question->chain.rcpt(std::move(path));
    if (answer.refusal && !is_temporary(*answer.refusal)) {
      question->refused.emplace_back(recipient, std::move(*answer.refusal));
    } else if (question->ends_with(std::move(answer))) {
      co_return;
    }
  }
  if (question->refused.size() == question->recipients.size()) co_return;
  answer = co_await question->chain.data();
  if (question->ends_with(std::move(answer))) co_return;
  answer = co_await question->chain.message(question->shown);
  question->ends_with(std::move(answer));
}

DropFilters::Verdict DropFilters::ask(const DropFilterSettings& settings, const std::string& hostname,
                                      store::QueuedMessage& message, MilterMessage& shown) {
  auto surroundings = std::make_shared<MilterClient::Surroundings>(settings.surroundings);
  surroundings->workers = &workers_;
  MilterChain chain(settings.targets, true, std::move(surroundings));
  if (chain.empty()) return {};
  auto question =
      std::make_shared<Question>(Question{std::move(chain), hostname, message.reverse_path, {}, std::move(shown)});
  for (const auto& [macro, value] :
       std::initializer_list<std::pair<const char*, std::string>>{{"j", hostname},
                                                                  {"v", "Postrider"},
                                                                  {"i", store::queue_id_text(message.id)},
                                                                  {"{daemon_name}", "sendmail"},
                                                                  {"{client_addr}", "127.0.0.1"},
                                                                  {"{client_name}", "localhost"},
                                                                  {"{client_ptr}", "localhost"},
                                                                  {"{mail_addr}", message.reverse_path}}) {
    question->chain.set(macro, value);
  }
  for (const store::QueuedRecipient& recipient : message.recipients) {
    auto& list = question->recipients;
    const bool bounces = recipient.wish == store::Wish::bounce;
    if (!bounces && std::find(list.begin(), list.end(), recipient.original) == list.end()) {
      list.push_back(recipient.original);
    }
  }
  if (question->recipients.empty()) {
    shown = std::move(question->shown);
    return {};
  }
  loop_.restart();
  asio::co_spawn(loop_, run(question), [question](const std::exception_ptr& error) {
    question->chain.quit();
    question->done = true;
    question->failed = error != nullptr;
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& trouble) {
      log_error("drop_filters", {{"reason", trouble.what()}});
    }
  });
  while (!question->done && !stopped_) {
    if (loop_.run_one() == 0) break;
  }
  if (!question->done) return {true, false};
  loop_.poll();  // the filters' goodbye
  shown = std::move(question->shown);
  const auto& refusal = question->refusal;
  if (question->failed || (refusal && is_temporary(*refusal))) return {true, false};
  for (const auto& [address, reply] : question->refused) {
    for (store::QueuedRecipient& recipient : message.recipients) {
      if (recipient.original == address) bounce(recipient, on_one_line(reply));
    }
  }
  if (refusal) {
    for (store::QueuedRecipient& recipient : message.recipients) bounce(recipient, on_one_line(*refusal));
  }
  return {false, question->discard};
}

void DropFilters::stop() {
  stopped_ = true;
  loop_.stop();
}

}  // namespace postrider
