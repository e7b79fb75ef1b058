#include "tests/fuzz/imap_world.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "common/base/ascii.h"
#include "store/account.h"
#include "store/message_source.h"
#include "tests/fuzz/must.h"

namespace postrider::fuzz {
namespace {

constexpr std::string_view kMessages[] = {
    "From: Bob <bob@example.test>\r\nTo: alice@example.test\r\nSubject: Lunch\r\n"
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <1@example.test>\r\n\r\nAt noon?\r\n",
    "From: =?utf-8?q?J=C3=BCrgen?= <j@example.test>\r\nTo: list: a@example.test, \"q \\\" d\" <b@example.test>;\r\n"
    "Subject: Re: Lunch\r\nMessage-ID: <2@example.test>\r\nReferences: <1@example.test>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=\"=b\"\r\n\r\n--=b\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n--=b\r\nContent-Type: application/octet-stream\r\n"
    "Content-Disposition: attachment; filename=\"a \\\\ b.bin\"\r\nContent-Transfer-Encoding: "
    "base64\r\n\r\nAAECAw==\r\n"
    "--=b--\r\n",
    "Subject: forwarded\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: c@example.test\r\n\r\ninner "
    "text\r\n",
    "Subject: raw \xC3\xB6 \xFF\r\nFrom: @\r\nDate: never\r\n\r\n\xFF\xFE 8-bit\r\n",
    "\r\n",
};

/// Of alice's and bob's files and the directory: as they were made.
std::string copy_of(const std::string& file) {
  return file + ".made";
}

bool is_database(const std::filesystem::path& path) {
  return path.extension() == ".db" || path.extension() == ".db-wal";
}

}  // namespace

ImapWorld& ImapWorld::instance() {
  static ImapWorld& world = *new ImapWorld;
  return world;
}

ImapWorld::ImapWorld() : accounts_(state_.path(), 4, clock_), guard_(state_.path(), clock_) {
  Config config;
  config.server.hostname = "mail.example.test";
  config.server.state = state_.path();
  config.imap.max_append_size = 50'000;
  config_ = std::make_unique<imap::CurrentConfig>(config);
  guard_.set_policy({0, 0, Seconds(600), Seconds(600)});
  open_directory();
  make_accounts();
  for (const store::AccountId account : {alice_, bob_}) {
    accounts_.open(account)->checkpoint();
    accounts_.forget(account);
  }
  directory_.reset();
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(state_.path())) {
    if (is_database(entry.path())) files.push_back(entry.path());
  }
  for (const std::string& file : files) std::filesystem::copy_file(file, copy_of(file));
  open_directory();
  fakes_ =
      std::make_unique<sasl::FakeRecords>(directory_->with([](store::Directory& open) { return open.decoy_key(); }));
}

ImapWorld::~ImapWorld() = default;

void ImapWorld::open_directory() {
  directory_ = std::make_unique<store::DirectoryService>(state_.path(), clock_);
  directory_version_ = directory_->version();
}

void ImapWorld::make_accounts() {
  directory_->with([this](store::Directory& directory) {
    must(directory.add_domain("example.test").has_value(), "a domain");
    alice_ = directory.add_account("alice@example.test", cheap_password("secret"))->id;
    bob_ = directory.add_account("bob@example.test", cheap_password("known to nobody"))->id;
    must(directory.set_quota("alice@example.test", 1'000'000).has_value(), "a quota");
    directory.note_sharing(bob_, alice_);
  });
  for (const std::string_view text : kMessages) append(alice_, "INBOX", text, {});
  append(alice_, "INBOX", kMessages[0], store::Flags(store::Flags::kSeen | store::Flags::kDeleted));
  {
    auto account = accounts_.open(bob_);
    store::Edit edit(*account);
    const store::MailboxId shared = edit.create_mailbox("Shared", "").value();
    must(edit.grant(shared, {alice_, false, store::right::kAll}).has_value(), "a grant");
    edit.commit();
  }
  append(bob_, "Shared", kMessages[1], store::Flags(store::Flags::kFlagged));
}

void ImapWorld::append(store::AccountId owner, const std::string& mailbox, std::string_view text, store::Flags flags) {
  auto spool = std::make_shared<store::Spool>(state_.file("spool"));
  spool->append(text);
  const store::PreparedMessage prepared = store::prepare_message(spool);
  auto account = accounts_.open(owner);
  const store::MailboxId id = account->find_mailbox(mailbox)->id;
  store::Edit edit(*account);
  must(edit.append(id, prepared, "Delivered-To: a@b\r\n", flags, clock_.unix_time(), 0, 0).has_value(), "a message");
  edit.commit();
}

void ImapWorld::restore(const std::string& file) {
  for (const char* part : {"", "-wal", "-shm"}) {
    const std::string path = file + part;
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    // Not by copy_file(), which libFuzzer's timer interrupts.
    if (std::filesystem::exists(copy_of(path)))
      std::ofstream(path, std::ios::binary) << std::ifstream(copy_of(path), std::ios::binary).rdbuf();
  }
  // It remembers a newer state of the file.
  std::filesystem::remove(std::filesystem::path(file).replace_extension(".lock"));
}

void ImapWorld::begin(asio::io_context& loop) {
  for (const store::AccountId account : {alice_, bob_}) {
    accounts_.forget(account);
    restore(accounts_.path_of(account));
  }
  if (directory_->version() != directory_version_) {
    directory_.reset();
    restore(state_.file("directory.db"));
    open_directory();
  }
  logins_ = std::make_unique<imap::LoginCache>();
  registry_ = std::make_unique<imap::Registry>(std::vector<asio::io_context*>{&loop}, [](store::AccountId) {});
  recents_ = std::make_unique<imap::Recents>();
  services_ = std::make_unique<imap::Services>(imap::Services{*config_, clock_, workers_, workers_, accounts_,
                                                              *directory_, *logins_, verified_, *fakes_, nullptr,
                                                              *registry_, *recents_, guard_, state_.file("spool")});
  services_->failure_delay = std::chrono::milliseconds(0);
}

void ImapWorld::end() {
  services_.reset();
  recents_.reset();
  registry_.reset();
}

void ImapWorld::changed() {
  registry_->changed(alice_);
}

void ImapWorld::deliver() {
  append(alice_, "INBOX", kMessages[0], {});
  changed();
}

store::Uid ImapWorld::uid_at(size_t position) {
  const auto messages = inbox();
  return messages.empty() ? 0 : messages[position % messages.size()].uid;
}

void ImapWorld::expunge(size_t position) {
  const store::Uid uid = uid_at(position);
  if (uid == 0) return;
  {
    auto account = accounts_.open(alice_);
    const store::MailboxId id = account->find_mailbox("INBOX")->id;
    store::Edit edit(*account);
    edit.remove(id, {{uid, uid}});
    edit.commit();
  }
  changed();
}

void ImapWorld::flag(size_t position) {
  const store::Uid uid = uid_at(position);
  if (uid == 0) return;
  {
    auto account = accounts_.open(alice_);
    const store::MailboxId id = account->find_mailbox("INBOX")->id;
    store::Edit edit(*account);
    edit.store_flags(id, {{uid, uid}}, position % 2 == 0 ? store::FlagChange::add : store::FlagChange::replace,
                     store::Flags(store::Flags::kFlagged | store::Flags::kDeleted), std::nullopt);
    edit.commit();
  }
  changed();
}

std::vector<StoredMessage> ImapWorld::inbox() {
  constexpr std::pair<uint64_t, const char*> kNames[] = {{store::Flags::kSeen, "\\seen"},
                                                         {store::Flags::kAnswered, "\\answered"},
                                                         {store::Flags::kFlagged, "\\flagged"},
                                                         {store::Flags::kDeleted, "\\deleted"},
                                                         {store::Flags::kDraft, "\\draft"}};
  std::vector<StoredMessage> messages;
  auto account = accounts_.open(alice_);
  const auto mailbox = account->find_mailbox("INBOX");
  must(mailbox.has_value(), "there is always an INBOX");
  const std::vector<std::string> keywords = account->keywords();
  account->scan(mailbox->id, {1, UINT32_MAX}, store::kWantEntry, [&](const store::MessageRow& row) {
    StoredMessage message{row.uid, {}};
    for (const auto& [bit, name] : kNames) {
      if (row.flags.has(bit)) message.flags.emplace_back(name);
    }
    for (size_t i = 0; i < keywords.size(); ++i) {
      if (row.flags.has(uint64_t{1} << (store::Flags::kFirstKeywordBit + i)))
        message.flags.push_back(lower(keywords[i]));
    }
    std::sort(message.flags.begin(), message.flags.end());
    messages.push_back(std::move(message));
    return true;
  });
  return messages;
}

}  // namespace postrider::fuzz
