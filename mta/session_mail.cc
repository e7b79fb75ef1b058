// MAIL and RCPT: who may send, and to whom.
#include <fmt/format.h>

#include "common/base/log.h"
#include "mta/forwarding.h"
#include "mta/session.h"
#include "mta/system_mail.h"

namespace postrider {

namespace status = smtp::status;
using smtp::Reply;

namespace {

/// What the client said of a recipient.
store::QueuedRecipient recipient_of(const smtp::RcptCommand& rcpt) {
  store::QueuedRecipient recipient;
  recipient.original = rcpt.forward_path.to_string();
  recipient.orcpt = rcpt.orcpt;
  recipient.notify = rcpt.notify;
  return recipient;
}

}  // namespace

asio::awaitable<void> Session::mail(std::string_view argument) {
  auto parsed = smtp::parse_mail(argument, offers_auth());
  if (!parsed) {
    reply(parsed.error());
    co_return;
  }
  if (parsed->require_tls && !connection_->encrypted()) {
    reply(530, status::kEncryptionNeeded, "a message that requires TLS has to come by TLS; say STARTTLS first");
    co_return;
  }
  if (messages_ >= config().smtp.max_messages) {
    end_with(421, status::kPolicyTemporary, "enough messages for one connection; please make a new one");
    co_return;
  }
  if (parsed->size && *parsed->size > config().smtp.max_message_size) {
    reply(552, status::kMessageTooLarge,
          fmt::format("at most {} octets are taken here", config().smtp.max_message_size));
    co_return;
  }
  if (account_ && parsed->reverse_path) {
    const bool ours = co_await sender_is_ours(*parsed->reverse_path);
    if (!ours) {
      reply(553, status::kNotAuthorized, fmt::format("{} may not send as that address", account_->address));
      co_return;
    }
  }
  Transaction& transaction = transaction_.emplace();
  transaction.mail = std::move(*parsed);
  if (transaction.mail.reverse_path) transaction.reverse_path = transaction.mail.reverse_path->to_string();
  auto turned_away = co_await admit_sender();
  if (!turned_away) turned_away = co_await filter_mail(argument);
  if (const auto& refusal = turned_away) {
    transaction_.reset();
    reply(*refusal);
    co_return;
  }
  reply(250, status::kSenderOk, "sender OK");
}

asio::awaitable<bool> Session::sender_is_ours(const Address& sender) {
  std::string text = sender.to_string();
  if (text == checked_sender_) co_return true;
  auto ask = [&service = service_, settings = settings_, sender, account = account_->id] {
    return service.directory.with([&](store::Directory& directory) {
      return directory.may_send_as(account, sender.local_part, sender.domain, settings->config.address.separators);
    });
  };
  const bool ours = co_await service_.workers.run(std::move(ask));
  if (ours) checked_sender_ = std::move(text);
  co_return ours;
}

asio::awaitable<void> Session::rcpt(std::string_view argument) {
  Transaction& transaction = *transaction_;
  auto parsed = smtp::parse_rcpt(argument, transaction.mail.smtputf8);
  if (!parsed) {
    ++transaction.refused;
    reply(parsed.error());
    co_return;
  }
  if (transaction.accepted >= config().smtp.max_recipients || transaction.recipients.size() >= kMaxExpandedRecipients) {
    // Not counted as an error: the client is to send the rest in another transaction (RFC 5321 4.5.3.1.10).
    std::string text;
    smtp::append_reply(text, 452, status::kTooManyRecipients, "too many recipients; send to the others afterwards");
    connection_->queue(text);
    if (++transaction.refused > kMaxRefusedRecipients) {
      end_with(421, status::kPolicyTemporary, "far too many recipients; good-bye");
    }
    co_return;
  }
  auto resolution = co_await resolve(parsed->forward_path);
  auto refusal = co_await resolve_sender(*parsed, resolution);
  if (!refusal && resolution.kind == store::RecipientKind::unknown_user) {
    refusal = Reply(550, status::kNoSuchMailbox, "there is no such user here");
  } else if (!refusal && resolution.kind == store::RecipientKind::foreign_domain && !may_relay()) {
    refusal = Reply(550, status::kNotAuthorized,
                    "that domain is not served here; log in on the submission port to send there");
  } else if (!refusal && resolution.kind == store::RecipientKind::known) {
    refusal = co_await check_quota(resolution);
  }
  if (!refusal) refusal = co_await admit_recipient(parsed->forward_path, resolution);
  if (refusal) {
    co_await show_refused_rcpt(argument, *refusal);
  } else {
    refusal = co_await filter_rcpt(argument, parsed->forward_path);
  }
  if (refusal) {
    ++transaction.refused;
    log_info("recipient_refused", {{"connection", number_},
                                   {"client", connection_->remote_address()},
                                   {"from", transaction.reverse_path},
                                   {"to", parsed->forward_path.to_string()},
                                   {"reply", refusal->text}});
    reply(*refusal);
    if (transaction.refused > kMaxRefusedRecipients) {
      end_with(421, status::kPolicyTemporary, "far too many recipients; good-bye");
    }
    co_return;
  }
  add_recipients(*parsed, resolution);
  reply(250, status::kRecipientOk, "recipient OK");
}

asio::awaitable<store::Resolution> Session::resolve(const Address& path) {
  if (const auto* known = answers_->find(path.local_part, path.domain)) co_return *known;
  const uint64_t version = service_.directory.version();
  auto ask = [&service = service_, settings = settings_, path] {
    return service.directory.with([&](store::Directory& directory) {
      return directory.resolve(path.local_part, path.domain, settings->config.address.separators);
    });
  };
  store::Resolution resolution = co_await service_.workers.run(std::move(ask));
  answers_->put(version, path.local_part, path.domain, resolution);
  co_return resolution;
}

/// A report to a sender whom we rewrote goes to the sender. Nobody else can make such an address, and only reports are
/// taken for it: it leads out of here.
asio::awaitable<std::optional<Reply>> Session::resolve_sender(smtp::RcptCommand& rcpt, store::Resolution& resolution) {
  const bool here = resolution.kind != store::RecipientKind::foreign_domain;
  if (service_.forwarding == nullptr || !here || !srs::is_srs(rcpt.forward_path.local_part)) co_return std::nullopt;
  auto ask = [&service = service_, path = rcpt.forward_path] { return service.forwarding->restore(path); };
  const auto sender = co_await service_.workers.run(std::move(ask));
  if (!sender && sender.error() == srs::Fault::other_form) co_return std::nullopt;
  if (!sender && sender.error() == srs::Fault::wrong_hash) {
    co_return Reply(550, status::kNoSuchMailbox,
                    "that address was not made here: it has the form of a forwarded sender (SRS), and a wrong hash");
  }
  if (!sender) {
    co_return Reply(550, status::kNoSuchMailbox,
                    fmt::format("that forwarded sender (SRS) was good for {} days, which are over", srs::kValidDays));
  }
  if (!transaction_->reverse_path.empty()) {
    co_return Reply(550, status::kNotAuthorized,
                    "only reports, which have no sender, are taken for the sender of a forwarded message (SRS)");
  }
  auto look = [&service = service_, settings = settings_, sender = *sender] {
    return service.directory.with([&](store::Directory& directory) {
      return resolve_elsewhere(directory, sender, settings->config.address.separators);
    });
  };
  resolution = co_await service_.workers.run(std::move(look));
  rcpt.notify = smtp::kNotifyNever;  // nobody wants to hear what becomes of a report
  co_return std::nullopt;
}

/// A recipient of several accounts is refused only for one that is full; the size that MAIL declared is taken into
/// account.
asio::awaitable<std::optional<Reply>> Session::check_quota(const store::Resolution& resolution) {
  std::vector<Room> rooms;
  for (const auto& target : resolution.targets) {
    if (target.account == 0 || target.quota == 0) {
      transaction_->all_have_quota = false;
      continue;
    }
    const uint64_t declared = transaction_->mail.size.value_or(0);
    if (declared > target.quota) {
      co_return Reply(552, status::kMailboxTooSmall, "a message of that size does not fit in the mailbox");
    }
    auto ask = [&service = service_, account = target.account] { return service.accounts.open(account)->used_bytes(); };
    const uint64_t used = co_await service_.workers.run(std::move(ask));
    if (used >= target.quota || declared > target.quota - used) {
      co_return Reply(452, status::kMailboxFull, "the mailbox is full");
    }
    rooms.push_back(Room{target.quota, used});
  }
  transaction_->rooms.insert(transaction_->rooms.end(), rooms.begin(), rooms.end());
  co_return std::nullopt;
}

void Session::add_recipients(const smtp::RcptCommand& rcpt, const store::Resolution& resolution) {
  Transaction& transaction = *transaction_;
  if (transaction.accepted++ == 0) transaction.first_path = rcpt.forward_path;
  if (resolution.kind == store::RecipientKind::foreign_domain) {
    transaction.all_have_quota = false;
    auto domain = normalize_domain(rcpt.forward_path.domain);
    Address address = rcpt.forward_path;
    if (domain) address.domain = std::move(*domain);
    add_recipient(rcpt, 0, address.to_string());
    return;
  }
  if (resolution.targets.size() == 1 || (rcpt.notify & smtp::kNotifySuccess) == 0) {
    for (const auto& target : resolution.targets) add_recipient(rcpt, target.account, target.address);
    return;
  }
  // RFC 3461 5.2.7.2: one report says that it went to several, and none of those reports that it arrived.
  smtp::RcptCommand each = rcpt;
  each.notify &= static_cast<uint8_t>(~smtp::kNotifySuccess);
  if (each.notify == 0) each.notify = smtp::kNotifyNever;
  for (const auto& target : resolution.targets) add_recipient(each, target.account, target.address);
  transaction.expanded.push_back(recipient_of(rcpt));
}

/// False where the recipient is there already: an account gets one copy of a message.
bool Session::add_recipient(const smtp::RcptCommand& rcpt, store::AccountId account, std::string address) {
  static_assert(static_cast<int>(smtp::kNotifyNever) == store::kNotifyNever &&
                static_cast<int>(smtp::kNotifySuccess) == store::kNotifySuccess &&
                static_cast<int>(smtp::kNotifyFailure) == store::kNotifyFailure &&
                static_cast<int>(smtp::kNotifyDelay) == store::kNotifyDelay);
  Transaction& transaction = *transaction_;
  if (!transaction.known.insert(account != 0 ? fmt::to_string(account) : address).second) return false;
  store::QueuedRecipient recipient = recipient_of(rcpt);
  recipient.number = static_cast<int64_t>(transaction.recipients.size()) + 1;
  recipient.account = account;
  recipient.address = std::move(address);
  transaction.recipients.push_back(std::move(recipient));
  return true;
}

}  // namespace postrider
