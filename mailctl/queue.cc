// mailctl queue: mail that waits to be delivered, and why.
#include "store/queue.h"

#include <fmt/format.h>
#include <unistd.h>

#include "mailctl/commands.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kPage = 1'000;        // messages read at once
constexpr size_t kMaxListed = 10'000;  // messages in one listing

struct Options {
  std::string id;
  size_t limit = 100;
};

/// Visits waiting messages in the order they came, until visit returns false. Nothing where there is no queue yet.
void each_message(Context& context, const std::function<bool(const store::QueuedMessage&)>& visit) {
  const std::string& state = context.state_folder();
  if (::access((state + "/queue.db").c_str(), F_OK) != 0) return;
  store::Queue queue(state, context.clock());
  for (store::QueueId after = 0;;) {
    const std::vector<store::QueuedMessage> page = queue.list(after, kPage);
    if (page.empty()) return;
    for (const store::QueuedMessage& message : page) {
      if (!visit(message)) return;
      after = message.id;
    }
  }
}

Json recipient_row(const store::QueuedRecipient& recipient) {
  return {{"address", recipient.address},
          {"local", recipient.account != 0},
          {"attempts", recipient.attempts},
          {"next_attempt", recipient.next_attempt},
          {"last_reply", recipient.last_reply}};
}

std::string sender_of(const store::QueuedMessage& message) {
  return '<' + message.reverse_path + '>';
}

void list(Context& context, const Options& options) {
  Json rows = Json::array();
  size_t left_out = 0;
  each_message(context, [&](const store::QueuedMessage& message) {
    if (rows.size() >= options.limit) {
      ++left_out;
      return left_out < kMaxListed;
    }
    UnixTime next = 0;
    int32_t attempts = 0;
    std::string reason;
    for (const store::QueuedRecipient& recipient : message.recipients) {
      if (next == 0 || recipient.next_attempt < next) next = recipient.next_attempt;
      attempts = std::max(attempts, recipient.attempts);
      if (reason.empty()) reason = recipient.last_reply;
    }
    rows.push_back({{"id", store::queue_id_text(message.id)},
                    {"accepted", message.accepted},
                    {"sender", sender_of(message)},
                    {"recipients", message.recipients.size()},
                    {"attempts", attempts},
                    {"next_attempt", next},
                    {"reason", reason}});
    return true;
  });
  context.print(rows,
                {{"id", "ID"},
                 {"accepted", "ACCEPTED", Show::time},
                 {"sender", "SENDER"},
                 {"recipients", "RECIPIENTS"},
                 {"attempts", "ATTEMPTS"},
                 {"next_attempt", "NEXT ATTEMPT", Show::time},
                 {"reason", "REASON"}},
                "Nothing waits to be delivered.");
  if (left_out > 0) context.say(fmt::format("{} more; --limit shows more of them.", left_out));
}

void show(Context& context, const Options& options) {
  const store::QueueId id = store::parse_queue_id(options.id);
  if (id < 0)
    throw CommandFailed(fmt::format("{} is no queue id; `mailctl queue list` shows them.", options.id), kUsage);
  Json shown;
  each_message(context, [&](const store::QueuedMessage& message) {
    if (message.id != id) return message.id < id;
    shown = {{"id", options.id},
             {"accepted", message.accepted},
             {"sender", sender_of(message)},
             {"client", message.client},
             {"authenticated_as", message.authenticated_as.empty() ? Json() : Json(message.authenticated_as)},
             {"recipients", Json::array()}};
    for (const store::QueuedRecipient& recipient : message.recipients)
      shown["recipients"].push_back(recipient_row(recipient));
    return false;
  });
  if (shown.is_null()) {
    throw CommandFailed(
        fmt::format("No message {} waits: it was delivered, bounced, or never here. The log of mta says which; "
                    "look for queue id {}.",
                    options.id, options.id));
  }
  context.print_one(shown, {{"id", "Queue id"},
                            {"accepted", "Accepted", Show::time},
                            {"sender", "Sender"},
                            {"client", "Came from"},
                            {"authenticated_as", "Login"}});
  if (context.json) return;
  context.say("");
  context.print(shown["recipients"],
                {{"address", "RECIPIENT"},
                 {"attempts", "ATTEMPTS"},
                 {"next_attempt", "NEXT ATTEMPT", Show::time},
                 {"last_reply", "LAST REPLY"}},
                "");
}

}  // namespace

void add_queue_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("queue", "Mail that waits to be delivered.");
  describe(*noun,
           "Mail that was accepted and not yet delivered to everybody: where it is, why, and when it is tried next.",
           "  mailctl queue list\n  mailctl queue show 01JDXYZABCDE\n");
  noun->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* list_command = noun->add_subcommand("list", "Lists the messages that wait.");
  describe(*list_command, "Lists the messages that wait, oldest first, with the reason of the last failure.",
           "  mailctl queue list\n  mailctl queue list --limit 1000\n");
  list_command->add_option("--limit", options->limit, "How many at most; 100 unless said.")->type_name("COUNT");
  list_command->callback([&context, options] { list(context, *options); });
  CLI::App* show_command = noun->add_subcommand("show", "Shows one message and its recipients.");
  describe(*show_command,
           "Shows one waiting message: where it came from, and for each recipient the attempts so far, the last "
           "reply, and when it is tried next.",
           "  mailctl queue show 01JDXYZABCDE\n");
  show_command
      ->add_option("ID", options->id, "The queue id, as in the log, the Received field and `mailctl queue list`.")
      ->required();
  show_command->callback([&context, options] { show(context, *options); });
}

}  // namespace postrider::mailctl
