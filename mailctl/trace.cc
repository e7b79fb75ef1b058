// mailctl trace: the story of a message, from the ledger.
#include <fmt/format.h>

#include <map>

#include "common/config/values.h"
#include "mailctl/commands.h"
#include "mailctl/queue_filter.h"
#include "store/accounts.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxStories = 1'000;

struct Options {
  std::string what;
  size_t limit = 10;
};

/// "INBOX of alice@example.org", as far as both are still there.
class Places {
 public:
  explicit Places(Context& context) : context_(context) {
    for (const store::AccountInfo& account : context.directory().accounts()) addresses_[account.id] = account.address;
  }
  std::string account(store::AccountId id) const {
    auto found = addresses_.find(id);
    return found != addresses_.end() ? found->second : std::string();
  }
  std::string mailbox(store::AccountId account, store::MailboxId mailbox) {
    if (mailbox == 0 || !addresses_.contains(account)) return {};
    auto found = context_.accounts().open(account)->mailbox(mailbox);
    return found ? found->name : std::string();
  }

 private:
  Context& context_;
  std::map<store::AccountId, std::string> addresses_;
};

std::string_view word(store::Ending ending) {
  switch (ending) {
    case store::Ending::mailbox:
      return "delivered";
    case store::Ending::relayed:
      return "relayed";
    case store::Ending::failed:
      return "failed";
    case store::Ending::removed:
      return "removed";
  }
  return "";
}

std::string state_of(const store::TracedRecipient& recipient) {
  if (recipient.ended) return std::string(word(recipient.ending));
  if (recipient.hold != store::Hold::none) return "held";
  return recipient.next_attempt == store::kInHand ? "active" : "waiting";
}

Json or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
Json time_or_null(UnixTime time) {
  return time <= 0 ? Json() : Json(format_iso_time(time));
}

Json json_of(const store::TracedRecipient& recipient, Places& places) {
  Json attempts = Json::array();
  for (const store::TracedAttempt& attempt : recipient.tries) {
    attempts.push_back({{"time", time_or_null(attempt.time)},
                        {"host", or_null(attempt.remote)},
                        {"tls", or_null(attempt.tls)},
                        {"reply", attempt.reply}});
  }
  Json object = {{"address", recipient.address},
                 {"original", recipient.original.empty() ? recipient.address : recipient.original},
                 {"state", state_of(recipient)},
                 {"attempts", attempts}};
  if (!recipient.ended) {
    object["next_attempt"] = time_or_null(recipient.next_attempt);
    object["last_reply"] = or_null(recipient.reply);
    return object;
  }
  object["time"] = time_or_null(recipient.time);
  object["host"] = or_null(recipient.remote);
  object["tls"] = or_null(recipient.tls);
  object["reply"] = or_null(recipient.reply);
  object["report"] = recipient.report == 0 ? Json() : Json(store::queue_id_text(recipient.report));
  if (recipient.ending == store::Ending::mailbox) {
    object["account"] = or_null(places.account(recipient.account));
    object["mailbox"] = or_null(places.mailbox(recipient.account, recipient.mailbox));
    object["uid"] = recipient.uid == 0 ? Json() : Json(recipient.uid);
  }
  return object;
}

Json json_of(const store::TracedMessage& message, Places& places) {
  Json object = {{"id", store::queue_id_text(message.id)},
                 {"accepted", time_or_null(message.accepted)},
                 {"sender", '<' + message.reverse_path + '>'},
                 {"client", or_null(message.client)},
                 {"authenticated_as", or_null(message.authenticated_as)},
                 {"message_id", or_null(message.message_id)},
                 {"checks", or_null(message.checks)},
                 {"size", message.size},
                 {"recipient_count", message.recipient_count},
                 {"recipients", Json::array()}};
  for (const store::TracedRecipient& recipient : message.recipients)
    object["recipients"].push_back(json_of(recipient, places));
  return object;
}

/// "mx.example.net [192.0.2.1] (TLSv1.3 ...) said: 451 4.7.1 Later".
std::string said(const std::string& remote, const std::string& tls, const std::string& reply) {
  return fmt::format("{}{} said: {}", remote.empty() ? "this server" : remote,
                     remote.empty() ? std::string()
                     : tls.empty()  ? " (without TLS)"
                                    : " (" + tls + ")",
                     reply);
}

std::string end_of(const store::TracedRecipient& recipient, Places& places) {
  switch (recipient.ending) {
    case store::Ending::mailbox: {
      std::string name = places.mailbox(recipient.account, recipient.mailbox);
      std::string account = places.account(recipient.account);
      std::string place = account.empty() ? std::string("a mailbox that is gone by now")
                                          : fmt::format("{} of {}", name.empty() ? "a mailbox" : name, account);
      return fmt::format("put into {}{}", place,
                         recipient.uid == 0 ? std::string() : fmt::format(", UID {}", recipient.uid));
    }
    case store::Ending::relayed:
      return "handed over: " + said(recipient.remote, recipient.tls, recipient.reply);
    case store::Ending::failed:
      return "given up: " + said(recipient.remote, recipient.tls, recipient.reply);
    case store::Ending::removed:
      return "removed by the administrator";
  }
  return "";
}

void tell(Context& context, const store::TracedRecipient& recipient, Places& places) {
  std::string by = recipient.original.empty() ? std::string() : fmt::format(", sent to {}", recipient.original);
  context.say(fmt::format("\n{}{}", recipient.address, by));
  auto line = [&](UnixTime time, const std::string& text) {
    context.say(fmt::format("  {}  {}", format_time(time), text));
  };
  for (const store::TracedAttempt& attempt : recipient.tries)
    line(attempt.time, said(attempt.remote, attempt.tls, attempt.reply));
  if (recipient.ended) {
    line(recipient.time, end_of(recipient, places));
    if (recipient.report != 0) {
      context.say(fmt::format("  The sender was told: `mailctl trace {}`.", store::queue_id_text(recipient.report)));
    }
    return;
  }
  if (recipient.tries.empty() && !recipient.reply.empty()) context.say(fmt::format("  {}", recipient.reply));
  if (recipient.hold == store::Hold::crashes) {
    context.say("  Set aside: two processes ended while they had it in hand. `mailctl queue release` tries it again.");
  } else if (recipient.hold == store::Hold::administrator) {
    context.say("  Held by the administrator; `mailctl queue release` lets it go on.");
  } else if (recipient.next_attempt == store::kInHand) {
    context.say("  Being tried at this moment.");
  } else {
    context.say(fmt::format("  It waits and is tried again at {}.", format_time(recipient.next_attempt)));
  }
}

void tell(Context& context, const store::TracedMessage& message, Places& places) {
  context.say(fmt::format("Message {}", store::queue_id_text(message.id)));
  context.say(fmt::format("  Accepted    {}, {} octets, {} recipient{}", format_time(message.accepted), message.size,
                          message.recipient_count, message.recipient_count == 1 ? "" : "s"));
  context.say(fmt::format("  Sender      <{}>{}", message.reverse_path,
                          message.authenticated_as.empty() ? "" : ", logged in as " + message.authenticated_as));
  context.say(fmt::format("  Came from   {}", message.client.empty() ? "this server itself" : message.client));
  if (!message.message_id.empty()) context.say(fmt::format("  Message-ID  {}", message.message_id));
  if (!message.checks.empty()) context.say(fmt::format("  Checks      {}", message.checks));
  for (const store::TracedRecipient& recipient : message.recipients) tell(context, recipient, places);
}

std::vector<store::QueueId> find(store::Queue& queue, const Options& options) {
  store::QueueId id = store::parse_queue_id(options.what);
  if (id >= 0 && queue.trace(id)) return {id};
  return queue.find(options.what, std::min(options.limit, kMaxStories));
}

void trace(Context& context, const Options& options) {
  auto queue = open_queue(context);
  std::vector<store::QueueId> ids;
  if (queue) ids = find(*queue, options);
  if (ids.empty()) {
    throw CommandFailed(fmt::format("No message is known by {}. The ledger goes back {} (queue.history).", options.what,
                                    config::format_duration(context.config().queue.history)));
  }
  Places places(context);
  Json stories = Json::array();
  for (store::QueueId id : ids) {
    auto message = queue->trace(id);
    if (!message) continue;  // forgotten just now
    if (context.json) {
      stories.push_back(json_of(*message, places));
      continue;
    }
    if (id != ids.front()) context.say("");
    tell(context, *message, places);
  }
  if (context.json) context.write(stories.dump(2) + '\n');
}

}  // namespace

void add_trace_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("trace", "Tells the story of a message.");
  describe(
      *command,
      "Tells the story of a message: from which host it came, every attempt to deliver it with host, TLS, reply and "
      "time, and how it ended for each recipient: the mailbox it was put into, the server that took it, the report "
      "that its sender got. What has ended is known for queue.history.",
      "  mailctl trace 01JDXYZABCDE\n  mailctl trace '<20260131.1@example.org>'\n  mailctl trace bob@example.net "
      "--limit 3\n");
  command
      ->add_option("WHAT", options->what,
                   "A queue id, a Message-ID, or the address of a sender or recipient (newest message first).")
      ->required();
  command->add_option("--limit", options->limit, "How many messages at most; 10 unless said.")->type_name("COUNT");
  command->callback([&context, options] { trace(context, *options); });
}

}  // namespace postrider::mailctl
