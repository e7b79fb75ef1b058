#include "mta/forwarding.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/base/ascii.h"
#include "common/base/log.h"
#include "common/mail/header.h"

namespace postrider {
namespace {

constexpr UnixTime kLook = 86'400;         // between two looks at the file of keys
constexpr size_t kMaxDeliveredTo = 1'000;  // fields that are looked at

/// The one spelling by which addresses of ours are compared; empty where it is none.
std::string canonical(std::string_view text) {
  auto address = parse_mailbox(text, Utf8::allowed);
  if (!address) return {};
  auto domain = normalize_domain(address->domain);
  if (!domain) return {};
  return Address{lower(address->local_part), std::move(*domain)}.to_string();
}

std::set<std::string> delivered_to(std::string_view head) {
  std::set<std::string> addresses;
  size_t count = 0;
  HeaderReader reader(head);
  while (auto field = reader.next()) {
    if (!iequals(field->name, "Delivered-To")) continue;
    if (++count > kMaxDeliveredTo) break;
    addresses.insert(canonical(field->unfolded()));
  }
  return addresses;
}

}  // namespace

bool is_forwarded(const store::QueuedRecipient& recipient) {
  if (recipient.account != 0 || recipient.original.empty() || recipient.original == recipient.address) return false;
  auto original = parse_mailbox(recipient.original, Utf8::allowed);
  if (!original) return true;  // <postmaster>
  if (auto domain = normalize_domain(original->domain)) original->domain = std::move(*domain);
  return original->to_string() != recipient.address;
}

size_t stop_circles(std::string_view head, std::span<store::QueuedRecipient> recipients) {
  std::set<std::string> forwarders;
  for (const auto& recipient : recipients) {
    if (is_forwarded(recipient)) forwarders.insert(recipient.original);
  }
  if (forwarders.empty()) return 0;
  const std::set<std::string> seen = delivered_to(head);
  std::erase_if(forwarders, [&](const std::string& one) {
    const std::string address = canonical(one);
    return address.empty() || !seen.contains(address);
  });
  size_t stopped = 0;
  for (auto& recipient : recipients) {
    if (!forwarders.contains(recipient.original)) continue;
    recipient.wish = store::Wish::bounce;
    recipient.last_reply = fmt::format(
        "554 5.4.6 The message came back to {}, which has forwarded it before: who gets its mail sends it back here",
        recipient.original);
    ++stopped;
  }
  return stopped;
}

Forwarding::Forwarding(const std::string& state, store::DirectoryService& directory, const Clock& clock)
    : directory_(directory), clock_(clock), file_(state) {
  keys();
}

void Forwarding::configure(Options options) {
  std::lock_guard lock(mutex_);
  options_ = std::move(options);
}

std::shared_ptr<const std::vector<std::string>> Forwarding::keys() {
  const UnixTime now = clock_.unix_time();
  std::lock_guard lock(mutex_);
  if (keys_ == nullptr || now >= loaded_ + kLook) {
    keys_ = std::make_shared<const std::vector<std::string>>(file_.load(now));
    loaded_ = now;
  }
  return keys_;
}

Departure Forwarding::departure(const store::QueuedMessage& message, const store::QueuedRecipient& recipient) {
  Departure departure{message.reverse_path, {}};
  if (!is_forwarded(recipient)) return departure;
  departure.forwarder = recipient.original;
  Options options;
  {
    std::lock_guard lock(mutex_);
    options = options_;
  }
  const auto sender = parse_mailbox(message.reverse_path, Utf8::allowed);
  if (!options.rewrites || !sender) return departure;
  const auto sender_domain = normalize_domain(sender->domain);
  if (!sender_domain || *sender_domain == options.hostname) return departure;
  // The domain that the mail was sent to: reports find their way to where the mail found it.
  std::string domain = store::destination_of(recipient.original);
  bool ours = false;
  directory_.with([&](store::Directory& directory) {
    ours = directory.has_domain(*sender_domain);
    auto normalized = normalize_domain(domain);
    domain = normalized && directory.has_domain(*normalized) ? *normalized : directory.first_domain();
  });
  if (ours || domain.empty()) return departure;
  const auto rewritten =
      srs::forward({sender->local_part, *sender_domain}, domain, keys()->front(), clock_.unix_time());
  if (rewritten) {
    departure.reverse_path = rewritten->to_string();
  } else {
    log_info("sender_too_long", {{"msg", store::queue_id_text(message.id)}, {"from", message.reverse_path}});
  }
  return departure;
}

tl::expected<Address, srs::Fault> Forwarding::restore(const Address& address) {
  if (!srs::is_srs(address.local_part)) return tl::unexpected(srs::Fault::other_form);
  return srs::restore(address, *keys(), clock_.unix_time());
}

}  // namespace postrider
