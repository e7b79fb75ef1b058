#include "store/message_url.h"

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/random.h"
#include "common/sasl/password.h"
#include "store/accounts.h"
#include "store/directory_service.h"

namespace postrider::store {
namespace {

constexpr size_t kUrlKey = 32;                  // octets
constexpr std::string_view kHmacSha256 = "01";  // how the token was made: its first octet

/// The account that a name in a URL means, if it is there.
std::optional<AccountInfo> account_of(Directory& directory, const std::string& name, const UrlReader& reader) {
  auto account = directory.find_account(name, reader.default_domain);
  if (!account || !account->enabled) return std::nullopt;
  return account;
}

/// Whether the URL is meant for this reader; whether its token is right is another question.
bool is_meant_for(const ImapUrl& url, const UrlReader& reader, Directory& directory, AccountId owner) {
  using Access = ImapUrl::Access;
  if (url.access == Access::none) return owner == reader.account;
  if (url.token.empty() || (url.expires && *url.expires < reader.now)) return false;
  if (url.access == Access::anonymous) return true;
  if (url.access == Access::authuser) return reader.account != 0;
  if (url.access == Access::submit && !reader.submits) return false;
  const auto named = account_of(directory, url.access_user, reader);
  return named && named->id == reader.account;
}

}  // namespace

std::string Account::url_key(MailboxId mailbox) {
  Rows rows(database_.prepare("SELECT key FROM url_key WHERE mailbox = ?1").bind(mailbox));
  return rows.next() ? std::string(rows->blob(0)) : std::string();
}

std::string Edit::make_url_key(MailboxId mailbox) {
  std::string key = account_.url_key(mailbox);
  if (!key.empty()) return key;
  key = random_bytes(kUrlKey);
  account_.database_.prepare("INSERT INTO url_key VALUES(?1, ?2)").bind(mailbox, Blob{key}).run();
  changed_ = true;
  return key;
}

void Edit::forget_url_keys(std::optional<MailboxId> mailbox) {
  account_.database_.prepare("DELETE FROM url_key WHERE ?1 = 0 OR mailbox = ?1").bind(mailbox.value_or(0)).run();
  if (account_.database_.changes() > 0) changed_ = true;
}

std::string url_token(std::string_view key, const ImapUrl& url) {
  std::string token(kHmacSha256);
  for (const char c : sasl::hmac_sha256(key, url.rump)) token += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return token;
}

std::optional<UrlPart> find_url_part(Account& account, const Mailbox& mailbox, const ImapUrl& url) {
  if (url.uid_validity && *url.uid_validity != mailbox.uid_validity) return std::nullopt;
  std::optional<UrlPart> found;
  account.scan(mailbox.id, {url.uid, url.uid}, kWantIndex, [&](const MessageRow& row) {
    const MimeIndex index = MimeIndex::deserialize(row.index).value_or(MimeIndex{});
    if (const auto octets = find_octets(url.section, index, row.prefix_size, row.size))
      found = UrlPart{account.id(), row.message, cut(*octets, url.partial)};
    return false;
  });
  return found;
}

std::optional<UrlPart> resolve_url(const ImapUrl& url, const UrlReader& reader, DirectoryService& directory,
                                   Accounts& accounts) {
  const auto owner = directory.with([&](Directory& all) {
    auto account = account_of(all, url.user, reader);
    return account && is_meant_for(url, reader, all, account->id) ? account : std::nullopt;
  });
  if (!owner) return std::nullopt;
  auto account = accounts.open(owner->id);
  const auto mailbox = account->find_mailbox(url.mailbox);
  if (!mailbox) return std::nullopt;
  if (url.access != ImapUrl::Access::none) {
    const std::string key = account->url_key(mailbox->id);
    if (key.empty() || !sasl::equal_constant_time(url_token(key, url), url.token)) return std::nullopt;
  }
  return find_url_part(*account, *mailbox, url);
}

}  // namespace postrider::store
