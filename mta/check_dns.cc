#include "mta/check_dns.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/random.h"

namespace postrider {
namespace {

std::exception_ptr unexpected(std::exception_ptr error) {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& what) {
    log_error("check_dns_failed", {{"reason", what.what()}});
  }
  return nullptr;
}

size_t octets_of(const DnsAnswer& answer) {
  size_t octets = 0;
  for (const std::string& record : answer.records) octets += record.size();
  return octets;
}

}  // namespace

/// What one session waits for. Belongs to the loop, until done() hands the answers over.
class CheckDns::Batch {
 public:
  Batch(asio::io_context& loop, std::vector<DnsQuestion> asked, Steady::time_point until)
      : questions(std::move(asked)), answers(questions.size()), deadline(until), timer(loop) {}

  uint64_t number = 0;
  const std::vector<DnsQuestion> questions;
  std::vector<Answer> answers;
  const Steady::time_point deadline;
  asio::steady_timer timer;
  size_t missing = 0;
  std::function<void(std::vector<Answer>)> done;
};

CheckDns::CheckDns(const std::function<Ask(asio::io_context&)>& make)
    : work_(asio::make_work_guard(loop_)), ask_(make(loop_)), probe_timer_(loop_) {
  asio::post(loop_, [this] { probe(); });
  thread_ = std::thread([this] { loop_.run(); });
}

CheckDns::~CheckDns() {
  loop_.stop();
  thread_.join();
}

CheckDns::Answer CheckDns::kept(const DnsQuestion& question) {
  const auto now = Steady::now();
  std::lock_guard lock(mutex_);
  if (auto found = young_.find(question); found != young_.end())
    return found->second.until > now ? found->second.answer : nullptr;
  auto found = old_.find(question);
  if (found == old_.end() || found->second.until <= now) return nullptr;
  Answer answer = found->second.answer;
  young_.insert(old_.extract(found));  // what is used stays
  return answer;
}

void CheckDns::keep(const DnsQuestion& question, const Answer& answer) {
  if (octets_of(*answer) > kMaxKeptOctets) return;
  const bool failed = answer->status == DnsAnswer::Status::failed;
  const auto age =
      failed ? kFailureAge : std::clamp<std::chrono::seconds>(std::chrono::seconds(answer->ttl), kMinAge, kMaxAge);
  std::lock_guard lock(mutex_);
  if (young_.size() >= kMaxKept / 2) old_ = std::exchange(young_, {});
  young_[question] = Kept{answer, Steady::now() + age};
}

asio::awaitable<std::vector<CheckDns::Answer>> CheckDns::ask(std::vector<DnsQuestion> questions,
                                                             Steady::time_point deadline) {
  // In silence some questions are asked all the same, without waiting for them: an answer would end it.
  if (silent() && tried_.load(std::memory_order_relaxed) >= kMaxTriedInSilence)
    co_return std::vector<Answer>(questions.size());
  auto batch = std::make_shared<Batch>(loop_, std::move(questions), deadline);
  auto initiate = [this, &batch](auto handler) {
    auto executor = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    batch->done = [shared, executor](std::vector<Answer> answers) {
      asio::post(executor,
                 [last = std::move(*shared), answers = std::move(answers)]() mutable { last(std::move(answers)); });
    };
    asio::post(loop_, [this, batch] { begin(batch); });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::vector<Answer>)>(
      initiate, asio::use_awaitable);
}

void CheckDns::begin(const std::shared_ptr<Batch>& batch) {
  batch->number = ++last_batch_;
  batches_.emplace(batch->number, batch);
  batch->missing = batch->questions.size();
  for (const DnsQuestion& question : batch->questions) {
    auto waiting = under_way_.find(question);
    const bool is_new = waiting == under_way_.end();
    if (is_new && under_way_.size() >= (silent() ? kMaxTriedInSilence : kMaxUnderWay)) {
      --batch->missing;  // it has no answer
      continue;
    }
    under_way_[question].push_back(batch);
    if (is_new) start(question);
  }
  tried_ = under_way_.size();
  if (batch->missing == 0 || silent()) return end(batch);
  batch->timer.expires_at(batch->deadline);
  batch->timer.async_wait([this, batch](std::error_code error) {
    if (error || batch->missing == 0) return;
    // What nobody answered need not hold up the next message as well.
    for (size_t i = 0; i < batch->questions.size(); ++i) {
      DnsAnswer late;
      late.reason = "no answer in time";
      if (batch->answers[i] == nullptr) keep(batch->questions[i], std::make_shared<const DnsAnswer>(std::move(late)));
    }
    if (Steady::now() - last_heard_ > kProbePatience) probe();
    end(batch);
  });
}

void CheckDns::start(const DnsQuestion& question) {
  asio::co_spawn(loop_, look_up(question), [](std::exception_ptr error) { unexpected(error); });
}

asio::awaitable<void> CheckDns::look_up(DnsQuestion question) {
  DnsAnswer answer = co_await ask_(question.name, question.type);
  heard(answer);
  answered(question, std::move(answer));
}

void CheckDns::answered(const DnsQuestion& question, DnsAnswer answer) {
  const auto shared = std::make_shared<const DnsAnswer>(std::move(answer));
  keep(question, shared);
  auto waiting = under_way_.extract(question);
  tried_ = under_way_.size();
  if (waiting.empty()) return;
  for (const auto& weak : waiting.mapped()) {
    const auto batch = weak.lock();
    if (!batch || !batch->done) continue;
    for (size_t i = 0; i < batch->questions.size(); ++i) {
      if (batch->questions[i] != question || batch->answers[i] != nullptr) continue;
      batch->answers[i] = shared;
      --batch->missing;
    }
    if (batch->missing == 0) end(batch);
  }
}

void CheckDns::end(const std::shared_ptr<Batch>& batch) {
  batch->timer.cancel();
  batches_.erase(batch->number);
  if (auto done = std::exchange(batch->done, {})) done(std::move(batch->answers));
}

/// Only records prove that a name server is there: that a name does not exist is said by our own library too, for names
/// such as those of .test. A domain whose name servers are broken proves nothing either way.
void CheckDns::heard(const DnsAnswer& answer) {
  if (answer.status != DnsAnswer::Status::found) return;
  last_heard_ = Steady::now();
  if (silent_.exchange(false)) log_info("dns_answers_again", {});
}

/// Asks for a name that nobody has, so that the answer comes from a name server and not from a cache of ours. A name
/// server that says it failed, and a system that says there is none, answer as well: nothing waits for them.
void CheckDns::probe() {
  if (std::exchange(probing_, true)) return;
  const auto asked = Steady::now();
  auto answered = std::make_shared<bool>(false);
  asio::co_spawn(loop_, ask_(fmt::format("probe-{:016x}.example", random_u64()), DnsType::a),
                 [this, answered](std::exception_ptr error, const DnsAnswer& answer) {
                   unexpected(error);
                   heard(answer);
                   if (!std::exchange(*answered, true)) probe_timer_.cancel();
                 });
  probe_timer_.expires_after(kProbePatience);
  probe_timer_.async_wait([this, asked, answered](std::error_code) {
    probing_ = false;
    const bool in_time = std::exchange(*answered, true) || last_heard_ >= asked;
    if (!in_time) return fall_silent();
    if (silent_.exchange(false)) log_info("dns_answers_again", {});
  });
}

void CheckDns::fall_silent() {
  if (!silent_.exchange(true)) {
    log_warn("dns_silent", {{"reason", "no name server answers; mail is taken without the checks that need DNS"}});
  }
  while (!batches_.empty()) {
    const auto batch = batches_.begin()->second;
    end(batch);
  }
  probe_timer_.expires_after(kSilence);
  probe_timer_.async_wait([this](std::error_code error) {
    if (!error) probe();
  });
}

}  // namespace postrider
