#include "mta/smtp_service.h"

#include <fmt/format.h>

#include "mta/session.h"

namespace postrider {
namespace {

/// What the configuration says was looked at when it was loaded.
std::vector<store::RateRule> rules_of(const std::vector<std::string>& texts) {
  std::vector<store::RateRule> rules;
  const auto parsed = config::parse_rates(texts);
  if (!parsed) return rules;
  for (const config::Rate& rate : *parsed) rules.push_back({rate.count, rate.per});
  return rules;
}

}  // namespace

SmtpService::SmtpService(const std::string& state, const Clock& service_clock,
                         store::DirectoryService& service_directory, store::Accounts& service_accounts,
                         net::WorkerPool& service_workers, net::WorkerPool& service_password_workers,
                         Acceptor& service_acceptor, size_t loops)
    : clock(service_clock),
      directory(service_directory),
      accounts(service_accounts),
      workers(service_workers),
      password_workers(service_password_workers),
      acceptor(service_acceptor),
      guard(state, service_clock),
      rates(state, service_clock),
      greylist(state, service_clock),
      fake_records(directory.with([](store::Directory& open) { return open.decoy_key(); })),
      loops_(loops) {}

void SmtpService::configure(std::shared_ptr<const SessionSettings> settings) {
  const Config::Login& login = settings->config.login;
  guard.set_policy({login.max_failures, login.max_failures_per_account, login.failure_window, login.ban});
  const Config::Rates& limits = settings->config.rates;
  store::RatePolicy policy;
  policy[static_cast<size_t>(store::RateLayer::account)] = rules_of(limits.account);
  policy[static_cast<size_t>(store::RateLayer::address)] = rules_of(limits.address);
  policy[static_cast<size_t>(store::RateLayer::network)] = rules_of(limits.network);
  policy[static_cast<size_t>(store::RateLayer::recipient)] = rules_of(limits.recipient);
  rates.set_policy(policy);
  std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
}

std::shared_ptr<const SessionSettings> SmtpService::settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

std::shared_ptr<store::DirectoryCache> SmtpService::answers(size_t loop, const std::string& separators) {
  LoopState& state = loops_.at(loop);
  if (!state.answers || state.separators != separators) {
    state.answers = std::make_shared<store::DirectoryCache>(directory);
    state.separators = separators;
  }
  return state.answers;
}

asio::awaitable<void> SmtpService::run(std::shared_ptr<net::Connection> connection, size_t loop, Role role) {
  auto session = std::make_unique<Session>(*this, std::move(connection), loop, role);
  co_await session->run();
}

std::string SmtpService::refusal(const std::string& reason) const {
  std::string text =
      fmt::format("{} cannot serve you now: {}; try again later", settings()->config.server.hostname, reason);
  return smtp::format_reply(smtp::Reply(421, smtp::status::kPolicyTemporary, std::move(text)));
}

}  // namespace postrider
