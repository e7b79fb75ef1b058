// BURL (RFC 4468): what lies in a mailbox of this server already is not sent again. URLs are followed in the store
// itself, so only those of our own imapd are.
#include <algorithm>

#include "common/mail/imap_url.h"
#include "mta/session.h"
#include "store/message_url.h"

namespace postrider {

namespace status = smtp::status;
using smtp::Reply;

bool Session::offers_burl() const {
  return offers_auth() && (config().imap.port != 0 || config().imaps.port != 0);
}

asio::awaitable<void> Session::burl(std::string_view argument) {
  if (!account_ || !offers_burl()) {
    reply(502, status::kBadSequence, "BURL is for users of this server, on the submission ports");
    co_return;
  }
  const auto command = smtp::parse_burl(argument);
  if (!command) {
    reply(command.error());
    co_return;
  }
  const auto url = parse_imap_url(command->url);
  const bool last = command->last;
  if (!transaction_->message) begin_message();
  uint64_t size = 0;
  if (url && !UrlServer{config().imap_names(), config().imap.port}.is_named_by(*url)) {
    transaction_->message->refuse(Reply(554, status::kTrustNeeded, "URLs of other servers are not followed"));
  } else {
    std::optional<store::UrlPart> part;
    if (url) {
      store::UrlReader reader;
      reader.account = account_->id;
      reader.submits = true;
      reader.now = service_.clock.unix_time();
      reader.default_domain = config().login.default_domain;
      auto look = [&service = service_, url, reader] {
        return store::resolve_url(*url, reader, service.directory, service.accounts);
      };
      part = co_await service_.workers.run(std::move(look));
    }
    if (part) {
      size = part->octets.length;
      co_await take_part(*part);
    } else {
      transaction_->message->refuse(Reply(554, status::kContentMissing, "the URL names nothing that you may send"));
    }
  }
  co_await end_chunk(last, size);
}

/// In pieces, each read on a worker; until something is wrong with the message.
asio::awaitable<void> Session::take_part(store::UrlPart part) {
  const auto message = transaction_->message;
  while (part.octets.length > 0 && !message->refusal()) {
    auto read = [&accounts = service_.accounts, part] {
      std::string piece;
      accounts.open(part.owner)
          ->read(part.message, part.octets.offset, std::min<uint64_t>(part.octets.length, IncomingMessage::kTail),
                 piece);
      return piece;
    };
    const std::string piece = co_await service_.workers.run(std::move(read));
    if (piece.empty()) message->refuse(Reply(554, status::kContentMissing, "the message went away meanwhile"));
    transaction_->scanner.feed(piece);
    message->tail().append(piece);
    message->took();
    part.octets.offset += piece.size();
    part.octets.length -= piece.size();
    if (message->wants_store()) co_await store_tail();
  }
}

}  // namespace postrider
