#include "mta/relay_dns.h"

#include <unbound.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/log.h"

namespace postrider {
namespace {

constexpr size_t kMaxRecords = 500;                             // of one answer that are looked at
constexpr int kNoDomain = 3;                                    // RCODE NXDOMAIN
constexpr const char* kRootAnchor = "/usr/share/dns/root.key";  // of Debian's dns-root-data

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
  if (result->canonname != nullptr) {
    answer.canonical = lower(result->canonname);
    if (answer.canonical.ends_with('.')) answer.canonical.pop_back();
  }
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
  rdata.remove_prefix(2);
  if (rdata == std::string_view("\0", 1)) return record;
  auto host = parse_name(rdata);
  const auto plain = [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; };
  if (!host || !std::all_of(host->begin(), host->end(), plain)) return std::nullopt;
  record.host = std::move(*host);
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

DnsSettings dns_settings(const std::string& server, const std::string& trust_anchor) {
  DnsSettings settings;
  settings.server = server;
  if (trust_anchor == "none") return settings;
  settings.anchor_asked_for = !trust_anchor.empty();
  if (settings.anchor_asked_for) settings.trust_anchor = trust_anchor;
  if (trust_anchor.empty() && server.empty() && ::access(kRootAnchor, R_OK) == 0) settings.trust_anchor = kRootAnchor;
  return settings;
}

/// One libunbound context; its settings are fixed once it was asked something.
class Resolver::Context {
 public:
  Context(asio::io_context& loop, const std::string& server, const std::string& trust_anchor)
      : loop_(loop), context_(ub_ctx_create()), descriptor_(loop) {
    if (context_ == nullptr) throw std::runtime_error("DNS cannot be set up: no memory");
    try {
      check(ub_ctx_async(context_, 1), "thread");  // first: removing a zone closes the settings
      if (!trust_anchor.empty()) {
        if (::access(trust_anchor.c_str(), R_OK) != 0) {
          throw std::runtime_error("The file of dns.trust_anchor, " + trust_anchor + ", cannot be read");
        }
        check(ub_ctx_add_ta_file(context_, trust_anchor.c_str()), "dns.trust_anchor");
      }
      configure(server);
      descriptor_.assign(ub_fd(context_));
    } catch (...) {
      ub_ctx_delete(context_);
      throw;
    }
  }
  ~Context() {
    descriptor_.release();  // it is the context's: not to be closed twice
    // Deleting the context ends its thread; callbacks that have not come do not come any more.
    ub_ctx_delete(context_);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  using Complete = std::function<void(DnsAnswer)>;

  void ask(const std::string& name, DnsType type, Complete complete) {
    uint64_t number = ++last_;
    auto query = std::make_unique<Query>(*this, number, std::move(complete));
    Query* raw = query.get();
    queries_.emplace(number, std::move(query));
    int id = 0;
    int code = ub_resolve_async(context_, name.c_str(), static_cast<int>(type), 1, raw, &Context::answered, &id);
    if (code != 0) {
      finish(number, answer_of(code, nullptr));
      return;
    }
    raw->limit.expires_after(kMaxDnsWait);
    raw->limit.async_wait([this, number, id](std::error_code error) {
      if (error) return;
      ub_cancel(context_, id);
      DnsAnswer late;
      late.reason = "no answer in time";
      finish(number, std::move(late));
    });
    wait();
  }

  asio::awaitable<DnsAnswer> ask(std::string name, DnsType type) {
    auto initiate = [this](auto handler, const std::string& asked, DnsType asked_type) {
      auto executor = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
      auto shared = std::make_shared<decltype(handler)>(std::move(handler));
      ask(asked, asked_type, [shared, executor](DnsAnswer answer) {
        asio::post(executor,
                   [last = std::move(*shared), answer = std::move(answer)]() mutable { last(std::move(answer)); });
      });
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(DnsAnswer)>(
        initiate, asio::use_awaitable, name, type);
  }

 private:
  struct Query {
    Query(Context& context, uint64_t query_number, Complete when_done)
        : owner(context), number(query_number), complete(std::move(when_done)), limit(context.loop_) {}
    Context& owner;
    uint64_t number;
    Complete complete;
    asio::steady_timer limit;
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
    // It may well know the names of private addresses, of which libunbound would say itself that there are none.
    check(ub_ctx_set_option(context_, "unblock-lan-zones:", "yes"), "option");
    check(ub_ctx_set_option(context_, "insecure-lan-zones:", "yes"), "option");
    check(ub_ctx_set_fwd(context_, forward.c_str()), "dns.server");
    // Whoever names a server means its answers, for names too that libunbound answers itself.
    for (const char* zone : {"test.", "127.in-addr.arpa.", "localhost.", "invalid.", "onion."})
      ub_ctx_zone_remove(context_, zone);
  }

  static void answered(void* data, int code, ub_result* result) {
    auto* query = static_cast<Query*>(data);
    DnsAnswer answer = answer_of(code, result);
    ub_resolve_free(result);
    query->owner.finish(query->number, std::move(answer));
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

  asio::io_context& loop_;
  ub_ctx* context_;
  asio::posix::stream_descriptor descriptor_;
  std::unordered_map<uint64_t, std::unique_ptr<Query>> queries_;
  uint64_t last_ = 0;
  bool waiting_ = false;
};

Resolver::Resolver(asio::io_context& loop, DnsSettings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      validates_(!settings_.trust_anchor.empty()),
      probed_(loop, asio::steady_timer::time_point::max()) {
  auto& context = validates_ ? validating_ : plain_;
  context = std::make_unique<Context>(loop_, settings_.server, settings_.trust_anchor);
  if (validates_ && !settings_.anchor_asked_for) probe_ = Probe::needed;
}
Resolver::~Resolver() = default;

asio::awaitable<DnsAnswer> Resolver::ask(std::string name, DnsType type) {
  if (std::chrono::steady_clock::now() >= probe_again_) {
    probe_again_ = std::chrono::steady_clock::time_point::max();
    probe_ = Probe::needed;
  }
  if (probe_ != Probe::none) co_await probe();
  if (!validates_ && plain_ == nullptr) plain_ = std::make_unique<Context>(loop_, settings_.server, std::string());
  Context& context = validates_ ? *validating_ : *plain_;
  co_return co_await context.ask(std::move(name), type);
}

/// Name servers that drop what DNSSEC needs, as those of home routers and containers may, would make every name bogus.
/// Behind them nothing can be validated, and mail has to go all the same.
asio::awaitable<void> Resolver::probe() {
  if (std::exchange(probe_, Probe::under_way) == Probe::needed) {
    probed_.expires_after(kMaxProbeWait);
    validating_->ask(".", DnsType::dnskey, [this](const DnsAnswer& answer) {
      if (probe_ != Probe::under_way) return;  // too late
      validates_ = answer.secure;
      probe_ = Probe::none;
      probed_.cancel();
    });
    validates_ = false;
  }
  std::error_code ignored;
  co_await probed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  probe_ = Probe::none;
  if (validates_ || probe_again_ != std::chrono::steady_clock::time_point::max()) co_return;
  probe_again_ = std::chrono::steady_clock::now() + kProbeAgain;
  log_warn("dns_not_validated", {{"reason", "the name servers of this machine do not pass on what DNSSEC needs"}});
}

}  // namespace postrider
