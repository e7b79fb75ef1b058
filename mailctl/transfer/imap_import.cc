// Import from an account of another server. Its mailboxes are only examined; nothing there is changed.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mailctl/transfer/imap_answer.h"
#include "mailctl/transfer/imap_connection.h"
#include "mailctl/transfer/transfer.h"

namespace postrider::mailctl {
namespace {

constexpr uint32_t kFetchedTogether = 200;  // messages of one command

class ImapImport {
 public:
  ImapImport(ImapConnection& connection, std::string source, const TransferOptions& options, Importer& importer)
      : connection_(connection), source_(std::move(source)), options_(options), importer_(importer) {}

  void run() {
    for (const RemoteMailbox& mailbox : list()) import_mailbox(mailbox);
  }

 private:
  /// The user's own mailboxes, INBOX too.
  std::vector<RemoteMailbox> list() {
    if (connection_.has("NAMESPACE")) {
      (void)connection_.command("NAMESPACE", [this](ImapAnswer& answer) {
        if (auto found = parse_namespaces(answer.text)) namespaces_ = std::move(*found);
      });
    }
    std::vector<RemoteMailbox> found;
    const auto take = [&](ImapAnswer& answer) {
      auto mailbox = parse_list(answer.text);
      if (!mailbox || found.size() >= store::kMaxMailboxes) return;
      const bool foreign =
          std::any_of(namespaces_.foreign.begin(), namespaces_.foreign.end(),
                      [&](const std::string& prefix) { return !prefix.empty() && mailbox->wire.starts_with(prefix); });
      if (!foreign) found.push_back(std::move(*mailbox));
    };
    const bool extended = connection_.has("LIST-EXTENDED");
    const char* wish = !extended                        ? "LIST \"\" \"*\""
                       : connection_.has("SPECIAL-USE") ? "LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)"
                                                        : "LIST \"\" \"*\" RETURN (SUBSCRIBED)";
    if (auto done = connection_.command(wish, take); !done)
      throw CommandFailed(fmt::format("The server does not list its mailboxes: {}", done.error().message));
    if (!extended) {
      (void)connection_.command("LSUB \"\" \"*\"", [&](ImapAnswer& answer) {
        const auto subscribed = parse_list(answer.text);
        for (RemoteMailbox& mailbox : found) mailbox.subscribed |= subscribed && subscribed->wire == mailbox.wire;
      });
    }
    return found;
  }

  void import_mailbox(const RemoteMailbox& mailbox) {
    const auto name = local_name(mailbox, namespaces_.personal);
    if (!mailbox.selectable) return;
    if (!name) return importer_.pass_over(mailbox.wire, "the mailbox's name cannot be read");
    // What has a use is taken to ours of that use, unless somebody says where to.
    std::string ours = *name;
    if (options_.folder.empty() && options_.into.empty())
      ours = importer_.folder_for_use(mailbox.special_use).value_or(ours);
    const auto target = importer_.target(ours);
    if (!target || !importer_.add_folder(*target, mailbox.subscribed)) return;
    const auto wire = imap_quoted(mailbox.wire);
    if (!wire) return importer_.pass_over(*name, "the server's name of it cannot be sent");
    uint32_t messages = 0, uid_validity = 0;
    const auto done = connection_.command("EXAMINE " + *wire, [&](ImapAnswer& answer) {
      messages = parse_count(answer.text, "EXISTS").value_or(messages);
      uid_validity = parse_code(answer.text, "UIDVALIDITY").value_or(uid_validity);
    });
    if (!done) return importer_.pass_over(*name, done.error().message);
    if (uid_validity == 0 && messages != 0)
      return importer_.pass_over(*name, "the server does not say which UIDs are valid");
    import_messages(*name, *target, messages, uid_validity);
  }

  void import_messages(const std::string& name, const std::string& target, uint32_t messages, uint32_t uid_validity) {
    // Numbers move down by what is expunged meanwhile: what is seen twice for that is there already.
    uint32_t expunged = 0;
    for (uint32_t first = 1; first <= messages; first += kFetchedTogether) {
      first -= std::min(first - 1, std::exchange(expunged, 0));
      const uint32_t last = first + std::min(messages - first, kFetchedTogether - 1);
      std::map<store::Uid, int64_t> wanted;  // and keys
      const auto listed = connection_.command(fmt::format("FETCH {}:{} (UID)", first, last), [&](ImapAnswer& answer) {
        if (const auto message = parse_fetched(answer.text); message && message->uid != 0) {
          if (wanted.size() < kFetchedTogether) wanted.emplace(message->uid, 0);
        }
        expunged += parse_count(answer.text, "EXPUNGE") ? 1 : 0;
      });
      if (!listed) return importer_.pass_over(name, listed.error().message);
      for (auto one = wanted.begin(); one != wanted.end();) {
        TransferKey key;
        key.part("imap").part(source_).part(target).part(name).part(std::to_string(uid_validity));
        one->second = key.part(std::to_string(one->first)).value();
        one = importer_.has(one->second) ? wanted.erase(one) : std::next(one);
      }
      if (!wanted.empty()) fetch(name, target, wanted, expunged);
    }
  }

  void fetch(const std::string& name, const std::string& target, std::map<store::Uid, int64_t>& wanted,
             uint32_t& expunged) {
    store::UidRanges uids;
    for (const auto& [uid, key] : wanted) store::append_uid(uids, uid);
    const auto done = connection_.command(
        fmt::format("UID FETCH {} (UID FLAGS INTERNALDATE BODY.PEEK[])", store::format_ranges(uids)),
        [&](ImapAnswer& answer) {
          expunged += parse_count(answer.text, "EXPUNGE") ? 1 : 0;
          const auto fetched = parse_fetched(answer.text);
          const auto found = fetched ? wanted.find(fetched->uid) : wanted.end();
          if (found == wanted.end() || !answer.body) return;
          Incoming message(std::move(*answer.body));
          message.folder = target;
          message.place = fmt::format("{}: UID {}", name, fetched->uid);
          message.key = found->second;
          message.flags = fetched->flags;
          message.keywords = fetched->keywords;
          message.date = std::max<UnixTime>(fetched->date.value_or(0), 0);
          wanted.erase(found);
          importer_.add(std::move(message));
        });
    for (const auto& [uid, key] : wanted) {
      importer_.pass_over(fmt::format("{}: UID {}", name, uid),
                          done ? "the server did not send it; it may have been removed" : done.error().message);
    }
  }

  ImapConnection& connection_;
  std::string source_;  // host and user
  const TransferOptions& options_;
  Importer& importer_;
  Namespaces namespaces_;
};

}  // namespace

void import_imap(Context& context, const TransferOptions& options, Importer& importer) {
  if (options.user.empty()) throw CommandFailed("Say who logs in there: --user NAME.", kUsage);
  if (!options.password_stdin && !context.at_terminal())
    throw CommandFailed("Say where the password there comes from: --password-stdin, or start it at a terminal.",
                        kUsage);
  RemoteServer server = parse_server(options.imap, options.starttls, options.no_tls);
  server.any_certificate = options.insecure;
  const std::string password = context.read_known_password(fmt::format("{} at {}", options.user, server.host));
  ImapConnection connection(server, [&] { return importer.spool(); });
  connection.log_in(options.user, password);
  ImapImport(connection, server.host + '\n' + options.user, options, importer).run();
}

}  // namespace postrider::mailctl
