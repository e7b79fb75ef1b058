// URLs by which others read single messages (RFC 4467): GENURLAUTH makes them, URLFETCH follows them, RESETKEY ends
// them.
#include "common/base/log.h"
#include "imapd/session.h"
#include "store/message_url.h"

namespace postrider::imap {
namespace {

constexpr uint64_t kPiece = 256 << 10;  // octets that are read at once

Reply no_rump() {
  return Reply::bad(
      "That is no URL that can be authorized: it has to name this server, you, and a message in a mailbox of yours, "
      "end "
      "in ;URLAUTH= and who may use it, and INTERNAL is the mechanism.");
}

}  // namespace

/// What a URL with a host in it leads to, for this user. On the worker.
std::optional<store::UrlPart> Session::follow(const ImapUrl& url) {
  if (!is_here(url)) return std::nullopt;
  store::UrlReader reader;
  reader.account = account_->id;
  reader.now = services_.clock.unix_time();
  reader.default_domain = config_->login.default_domain;
  return store::resolve_url(url, reader, services_.directory, services_.accounts);
}

bool Session::is_here(const ImapUrl& url) const {
  return UrlServer{config_->imap_names(), config_->imap.port}.is_named_by(url);
}

asio::awaitable<Reply> Session::gen_urlauth(Cursor& arguments) {
  std::vector<UrlRequest> requests;
  if (!parse_gen_urlauth(arguments, requests)) co_return Reply::refused(arguments);
  std::vector<ImapUrl> urls;
  for (const UrlRequest& request : requests) {
    auto url = parse_imap_url(request.rump);
    if (!url || url->access == ImapUrl::Access::none || !url->token.empty() || !is_here(*url) ||
        request.mechanism != kUrlAuthInternal)
      co_return no_rump();
    urls.push_back(std::move(*url));
  }
  // A mailbox that is not there and another user's are answered alike.
  std::optional<std::string> answer = "GENURLAUTH";
  auto job = [&](store::Account& account) {
    for (const ImapUrl& url : urls) {
      auto owner = services_.directory.with(
          [&](store::Directory& directory) { return directory.find_account(url.user, config_->login.default_domain); });
      auto mailbox = account.find_mailbox(url.mailbox);
      if (!owner || owner->id != account.id() || !mailbox) return answer.reset();
      std::string key = account.url_key(mailbox->id);
      if (key.empty()) {
        store::Edit edit(account);
        key = edit.make_url_key(mailbox->id);
        edit.commit_flushed();
      }
      *answer += ' ';
      append_astring(*answer, fmt::format("{}:{}:{}", url.rump, kUrlAuthInternal, store::url_token(key, url)));
    }
  };
  co_await on_account(job);
  if (!answer) co_return no_rump();
  untagged(*answer);
  co_return Reply::ok("Whoever has such a URL reads by it.");
}

asio::awaitable<Reply> Session::url_fetch(Cursor& arguments) {
  std::vector<std::string> urls;
  if (!parse_url_fetch(arguments, urls)) co_return Reply::refused(arguments);
  out_ += "* URLFETCH";
  for (const std::string& text : urls) {
    out_ += ' ';
    append_astring(out_, text);
    const auto url = parse_imap_url(text);
    std::optional<store::UrlPart> part;
    if (url && url->access != ImapUrl::Access::none) {
      auto look = [&] {
        try {
          part = follow(*url);
        } catch (const store::SqliteError& error) {
          failed("URLFETCH", error);  // written down; half an answer cannot be taken back
        }
      };
      co_await services_.workers.run(std::move(look));
    }
    out_ += ' ';
    if (part) {
      append_literal_head(out_, part->octets.length);
      co_await send_part(*part);
    } else {
      out_ += "NIL";
    }
  }
  out_ += "\r\n";
  co_return Reply::ok("That is all.");
}

/// As many octets as were announced, or the end of the connection.
asio::awaitable<void> Session::send_part(store::UrlPart part) {
  while (part.octets.length > 0) {
    const size_t before = out_.size();
    auto read = [&] {
      try {
        auto account = services_.accounts.open(part.owner);
        account->read(part.message, part.octets.offset, std::min(part.octets.length, kPiece), out_);
      } catch (const store::SqliteError& error) {
        failed("URLFETCH", error);
      }
    };
    co_await services_.workers.run(std::move(read));
    const uint64_t got = out_.size() - before;
    if (got == 0) throw std::runtime_error("a message went away while it was read");
    part.octets.offset += got;
    part.octets.length -= got;
    if (out_.size() >= kSendAt) co_await send();
  }
}

asio::awaitable<Reply> Session::reset_key(Cursor& arguments) {
  ResetKeyCommand command;
  if (!parse_reset_key(arguments, command)) co_return Reply::refused(arguments);
  for (const std::string& mechanism : command.mechanisms) {
    if (mechanism != kUrlAuthInternal) co_return Reply::no("INTERNAL is the only mechanism here.");
  }
  std::optional<store::Flushed> flushed;
  std::optional<Reply> refused;
  store::AccountId whose = 0;
  bool selected = view_.has_value();
  auto forget = [&](store::Account& account, std::optional<store::MailboxId> mailbox) {
    whose = account.id();
    store::Edit edit(account);
    edit.forget_url_keys(mailbox);
    flushed = edit.commit_flushed();
  };
  if (!command.mailbox) {
    auto job = [&](store::Account& account) { forget(account, std::nullopt); };
    co_await on_account(job);
    selected = selected && selected_.own();
  } else {
    auto job = [&](store::Account& account, const Place& place) {
      auto mailbox = permitted(account, place, store::right::kAdminister);
      if (!mailbox) {
        refused = reply_for(mailbox.error());
        return;
      }
      forget(account, mailbox->id);
      selected = selected && account.id() == selected_.account && mailbox->id == view_->mailbox();
    };
    co_await on_mailbox(*command.mailbox, job);
  }
  if (refused) co_return std::move(*refused);
  if (selected) {
    untagged(kUrlMechanisms);
    url_key_.clear();
  }
  tell_others(whose);
  co_return Reply::done(*flushed, "URLs that were made before are good for nothing now.");
}

}  // namespace postrider::imap
