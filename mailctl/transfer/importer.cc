#include "mailctl/transfer/importer.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "common/base/ascii.h"
#include "common/mail/imap_string.h"
#include "mailctl/transfer/keywords.h"

namespace postrider::mailctl {
namespace {

/// What is in the way of storing it as a message; nullptr: nothing.
const char* why_no_message(const store::Spool& text) {
  if (text.size() == 0) return "it is empty";
  std::string buffer;
  std::string_view line = text.read_at(0, buffer);
  line = line.substr(0, line.find('\n'));
  const size_t colon = line.find(':');
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && is_wsp(name.back())) name.remove_suffix(1);
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return colon == std::string_view::npos || name.empty() || !printable ? "it does not begin with a header field"
                                                                       : nullptr;
}

}  // namespace

struct TransferKey::Digest {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Digest() { EVP_MD_CTX_free(context); }
};

TransferKey::TransferKey() : digest_(std::make_unique<Digest>()) {
  if (EVP_DigestInit_ex(digest_->context, EVP_sha256(), nullptr) != 1) throw std::runtime_error("No SHA-256.");
}

TransferKey::~TransferKey() = default;

void TransferKey::add(std::string_view piece) {
  if (EVP_DigestUpdate(digest_->context, piece.data(), piece.size()) != 1) throw std::runtime_error("No SHA-256.");
}

TransferKey& TransferKey::part(std::string_view text) {
  add(text);
  add(std::string_view("\0", 1));
  return *this;
}

int64_t TransferKey::value() {
  unsigned char hash[EVP_MAX_MD_SIZE];
  if (EVP_DigestFinal_ex(digest_->context, hash, nullptr) != 1) throw std::runtime_error("No SHA-256.");
  uint64_t number = 0;
  std::memcpy(&number, hash, sizeof number);
  return -static_cast<int64_t>(number >> 1) - 1;
}

struct Importer::Ready {
  store::PreparedMessage message;
  std::string folder, place;
  int64_t key;
  uint64_t flags;
  std::vector<std::string> keywords;
  UnixTime date;
};

Importer::Importer(Context& context, const store::AccountInfo& account, std::string only, std::string into)
    : context_(context),
      info_(account),
      only_(canonical_mailbox(std::move(only))),
      into_(canonical_mailbox(std::move(into))),
      spool_directory_(context.config().in_state("spool")),
      account_(context.accounts().open(account.id)),
      delivered_(context.accounts().path_of(account.id)),
      hints_(context.config().in_state("run/imapd.sock")) {
  // The daemons share it, and may not have run yet.
  if (std::filesystem::create_directories(spool_directory_)) ::chmod(spool_directory_.c_str(), 02770);
}

Importer::~Importer() = default;

std::optional<std::string> Importer::target(const std::string& mailbox) const {
  if (!only_.empty() && mailbox != only_) return std::nullopt;
  if (into_.empty()) return mailbox;
  return mailbox == "INBOX" || mailbox == only_ ? into_ : into_ + '/' + mailbox;
}

std::optional<std::string> Importer::folder_for_use(std::string_view use) {
  for (store::Mailbox& mailbox : account_->mailboxes()) {
    if (!use.empty() && iequals(mailbox.special_use, use)) return std::move(mailbox.name);
  }
  return std::nullopt;
}

bool Importer::add_folder(const std::string& name, bool subscribed) {
  const auto found = account_->find_mailbox(name);
  if (found && found->subscribed >= subscribed) return true;
  store::Edit edit(*account_);
  if (!account_->find_mailbox(name)) {
    if (auto made = edit.create_mailbox(name, ""); !made) {
      pass_over(name, made.error().message);
      return false;
    }
  }
  if (subscribed) {
    if (auto done = edit.subscribe(name, true); !done) note(fmt::format("{}: {}", name, done.error().message));
  }
  edit.commit_flushed();
  for (store::MailboxId mailbox : edit.touched()) hints_.send({info_.id, mailbox, edit.modseq()});
  return true;
}

bool Importer::has(int64_t key) {
  if (!delivered_.has(key)) return false;
  ++present_;
  return true;
}

void Importer::add(Incoming message) {
  if (has(message.key)) return;
  if (const char* reason = why_no_message(message.text)) return pass_over(message.place, reason);
  batch_octets_ += message.text.size();
  show_progress(message.folder);
  batch_.push_back({store::prepare_message(std::make_shared<store::Spool>(std::move(message.text))),
                    std::move(message.folder), std::move(message.place), message.key, message.flags,
                    std::move(message.keywords), message.date});
  if (batch_.size() >= kMaxBatchMessages || batch_octets_ >= kMaxBatchOctets) commit();
}

uint64_t Importer::keyword_bits(store::Edit& edit, const std::vector<std::string>& names) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    auto [known, fresh] = keywords_.try_emplace(name, 0);
    if (fresh && is_keyword(name)) {
      if (auto made = edit.keyword_bits({name})) {
        known->second = made->bits();
      } else {
        note(made.error().message + " Messages come without it.");
      }
    }
    bits |= known->second;
  }
  return bits;
}

void Importer::append(store::Edit& edit, Ready& message) {
  const auto mailbox = account_->find_mailbox(message.folder);
  auto into = mailbox ? store::StoreResult<store::MailboxId>(mailbox->id) : edit.create_mailbox(message.folder, "");
  if (!into) return pass_over(message.place, into.error().message);
  const store::Flags flags(message.flags | keyword_bits(edit, message.keywords));
  auto uid = edit.append(*into, message.message, "", flags, message.date, message.key, 0);
  if (!uid) return pass_over(message.place, uid.error().message);
  ++(*uid == 0 ? present_ : imported_);
}

void Importer::commit() {
  if (batch_.empty()) return;
  store::Edit edit(*account_);
  keywords_.clear();
  for (Ready& message : batch_) append(edit, message);
  edit.commit_flushed();
  for (store::MailboxId mailbox : edit.touched()) hints_.send({info_.id, mailbox, edit.modseq()});
  batch_.clear();
  batch_octets_ = 0;
}

void Importer::pass_over(const std::string& place, const std::string& reason) {
  ++passed_over_;
  if (told_.size() < kMaxTold) told_.push_back({{"place", place}, {"reason", reason}});
}

void Importer::note(const std::string& sentence) {
  if (notes_.size() < kMaxTold && std::find(notes_.begin(), notes_.end(), sentence) == notes_.end())
    notes_.push_back(sentence);
}

void Importer::show_progress(const std::string& folder) {
  context_.progress(fmt::format("{}: {} imported, {} already there", folder, imported_ + batch_.size(), present_));
}

void Importer::finish(const std::string& why) {
  commit();
  context_.progress({});
  for (const Json& one : told_) {
    context_.say(
        fmt::format("Passed over: {}: {}", one.at("place").get<std::string>(), one.at("reason").get<std::string>()));
  }
  for (const std::string& sentence : notes_) context_.say(sentence);
  context_.result({{"address", info_.address},
                   {"imported", imported_},
                   {"already_there", present_},
                   {"passed_over", passed_over_},
                   {"reasons", told_},
                   {"notes", notes_},
                   {"complete", why.empty()}},
                  fmt::format("{} message{} imported into {}, {} already there, {} passed over.", imported_,
                              imported_ == 1 ? "" : "s", info_.address, present_, passed_over_));
  if (!why.empty()) throw CommandFailed(why + " What came until then is kept; the same command goes on from there.");
  if (passed_over_ != 0) throw CommandFailed("Not everything was imported; see what was passed over.");
}

}  // namespace postrider::mailctl
