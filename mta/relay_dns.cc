#include "mta/relay_dns.h"

#include <unbound.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "common/base/ascii.h"

namespace postrider {
namespace {

constexpr size_t kMaxRecords = 500;  // of one answer that are looked at
constexpr int kNoDomain = 3;         // RCODE NXDOMAIN

void check(int code, const char* what) {
  if (code != 0) throw std::runtime_error(std::string("DNS cannot be set up (") + what + "): " + ub_strerror(code));
}

DnsAnswer answer_of(int code, const ub_result* result) {
  DnsAnswer answer;
  if (code != 0 || result == nullptr) {
    answer.reason = code != 0 ? ub_strerror(code) : "no answer";
    return answer;
  }
  if (result->bogus != 0) {  // first of all: it is never "no record"
    answer.reason = result->why_bogus != nullptr ? result->why_bogus : "DNSSEC does not hold";
    return answer;
  }
  answer.secure = result->secure != 0;
  answer.ttl = static_cast<uint32_t>(std::max(result->ttl, 0));
  if (result->nxdomain != 0) {
    answer.status = DnsAnswer::Status::no_domain;
  } else if (result->rcode != 0 && result->rcode != kNoDomain) {
    answer.reason = "the name server failed (code " + std::to_string(result->rcode) + ")";
  } else if (result->havedata == 0) {
    answer.status = DnsAnswer::Status::no_data;
  } else {
    answer.status = DnsAnswer::Status::found;
    for (size_t i = 0; result->data[i] != nullptr && i < kMaxRecords; ++i) {
      answer.records.emplace_back(result->data[i], static_cast<size_t>(result->len[i]));
    }
  }
  return answer;
}

}  // namespace

std::optional<MxRecord> parse_mx(std::string_view rdata) {
  if (rdata.size() < 3) return std::nullopt;
  auto octet = [&](size_t i) { return static_cast<unsigned char>(rdata[i]); };
  MxRecord record;
  record.preference = static_cast<uint16_t>(octet(0) << 8 | octet(1));
  size_t at = 2;
  while (at < rdata.size() && octet(at) != 0) {
    size_t length = octet(at);
    std::string_view label = rdata.substr(at + 1, length);
    if (length > 63 || label.size() != length) return std::nullopt;
    for (char c : label) {
      if (!is_alnum(c) && c != '-' && c != '_') return std::nullopt;
    }
    if (!record.host.empty()) record.host += '.';
    record.host += lower(label);
    at += 1 + length;
  }
  if (at + 1 != rdata.size()) return std::nullopt;
  return record;
}

std::optional<asio::ip::address> parse_address_record(std::string_view rdata) {
  if (rdata.size() == 4) {
    asio::ip::address_v4::bytes_type bytes;
    std::memcpy(bytes.data(), rdata.data(), bytes.size());
    return asio::ip::address_v4(bytes);
  }
  if (rdata.size() == 16) {
    asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), rdata.data(), bytes.size());
    return asio::ip::address_v6(bytes);
  }
  return std::nullopt;
}

class Resolver::Impl {
 public:
  Impl(asio::io_context& loop, const std::string& server) : context_(ub_ctx_create()), descriptor_(loop) {
    if (context_ == nullptr) throw std::runtime_error("DNS cannot be set up: no memory");
    try {
      check(ub_ctx_async(context_, 1), "thread");  // first: removing a zone closes the settings
      configure(server);
      descriptor_.assign(ub_fd(context_));
    } catch (...) {
      ub_ctx_delete(context_);
      throw;
    }
  }
  ~Impl() {
    descriptor_.release();  // it is the context's: not to be closed twice
    // Deleting the context ends its thread; callbacks that have not come do not come any more.
    ub_ctx_delete(context_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  using Complete = std::function<void(DnsAnswer)>;

  void ask(const std::string& name, DnsType type, Complete complete) {
    uint64_t number = ++last_;
    auto query = std::make_unique<Query>(Query{this, number, std::move(complete)});
    Query* raw = query.get();
    queries_.emplace(number, std::move(query));
    int code = ub_resolve_async(context_, name.c_str(), static_cast<int>(type), 1, raw, &Impl::answered, nullptr);
    if (code != 0) {
      finish(number, answer_of(code, nullptr));
    } else {
      wait();
    }
  }

 private:
  struct Query {
    Impl* owner;
    uint64_t number;
    Complete complete;
  };

  void configure(const std::string& server) {
    if (server.empty()) {
      check(ub_ctx_resolvconf(context_, nullptr), "resolv.conf");
      ub_ctx_hosts(context_, nullptr);  // without /etc/hosts it goes as well
      return;
    }
    std::string forward = server;
    size_t colon = forward.rfind(':');
    if (colon != std::string::npos) forward[colon] = '@';  // how libunbound writes a port
    std::erase_if(forward, [](char c) { return c == '[' || c == ']'; });
    check(ub_ctx_set_option(context_, "do-not-query-localhost:", "no"), "option");
    check(ub_ctx_set_fwd(context_, forward.c_str()), "dns.server");
    // Whoever names a server means its answers, for names too that libunbound answers itself.
    for (const char* zone : {"test.", "127.in-addr.arpa.", "localhost.", "invalid.", "onion."}) ub_ctx_zone_remove(context_, zone);
  }

  static void answered(void* data, int code, ub_result* result) {
    auto* query = static_cast<Query*>(data);
    DnsAnswer answer = answer_of(code, result);
    ub_resolve_free(result);
    query->owner->finish(query->number, std::move(answer));
  }

  void finish(uint64_t number, DnsAnswer answer) {
    auto found = queries_.find(number);
    if (found == queries_.end()) return;
    Complete complete = std::move(found->second->complete);
    queries_.erase(found);
    complete(std::move(answer));
  }

  /// Waits for answers only while there are questions: an idle relay has nothing on its loop.
  void wait() {
    if (std::exchange(waiting_, true)) return;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code error) {
      if (error) return;  // being destroyed
      waiting_ = false;
      ub_process(context_);
      if (!queries_.empty()) wait();
    });
  }

  ub_ctx* context_;
  asio::posix::stream_descriptor descriptor_;
  std::unordered_map<uint64_t, std::unique_ptr<Query>> queries_;
  uint64_t last_ = 0;
  bool waiting_ = false;
};

Resolver::Resolver(asio::io_context& loop, const std::string& server) : impl_(std::make_unique<Impl>(loop, server)) {}
Resolver::~Resolver() = default;

asio::awaitable<DnsAnswer> Resolver::ask(std::string name, DnsType type) {
  auto initiate = [this](auto handler, const std::string& asked, DnsType asked_type) {
    auto executor = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    impl_->ask(asked, asked_type, [shared, executor](DnsAnswer answer) {
      asio::post(executor, [last = std::move(*shared), answer = std::move(answer)]() mutable { last(std::move(answer)); });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(DnsAnswer)>(initiate, asio::use_awaitable, name,
                                                                                         type);
}

}  // namespace postrider
