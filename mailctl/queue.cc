// mailctl queue: mail that waits to be delivered, and why.
#include "store/queue.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/config/values.h"
#include "common/mail/address.h"
#include "mailctl/commands.h"
#include "mailctl/queue_filter.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxListed = 100'000;  // messages or destinations in one listing

struct Options {
  std::string id;
  size_t limit = 100;
  FilterOptions filter;
};

std::string state_of(const store::QueueRow& row) {
  if (row.in_hand > 0) return "being tried";
  return row.held == row.recipients ? "held" : "waiting";
}

std::string state_of(const store::TracedRecipient& recipient) {
  if (recipient.hold == store::Hold::crashes) return "set aside";
  if (recipient.hold == store::Hold::administrator) return "held";
  return recipient.next_attempt == store::kInHand ? "being tried" : "waiting";
}

void list(Context& context, const Options& options) {
  Json rows = Json::array();
  size_t limit = std::min(options.limit, kMaxListed);
  bool more = false;
  if (auto queue = open_queue(context)) {
    for (const store::QueueRow& row :
         queue->rows(filter_of(options.filter, context.clock().unix_time()), 0, limit + 1)) {
      more = rows.size() == limit;
      if (more) break;
      rows.push_back({{"id", store::queue_id_text(row.id)},
                      {"accepted", row.accepted},
                      {"size", row.size},
                      {"sender", '<' + row.reverse_path + '>'},
                      {"recipient", row.address},
                      {"recipients", row.recipients},
                      {"state", state_of(row)},
                      {"attempts", row.attempts},
                      {"next_attempt", row.next_attempt},
                      {"reason", row.last_reply}});
    }
  }
  context.print(rows,
                {{"id", "ID"},
                 {"accepted", "ACCEPTED", Show::time},
                 {"sender", "SENDER"},
                 {"recipient", "RECIPIENT"},
                 {"recipients", "OF"},
                 {"state", "STATE"},
                 {"attempts", "ATTEMPTS"},
                 {"next_attempt", "NEXT ATTEMPT", Show::time},
                 {"reason", "REASON"}},
                "Nothing waits to be delivered.");
  if (more) context.say(fmt::format("There are more than these {}; --limit shows more of them.", limit));
}

void show(Context& context, const Options& options) {
  const store::QueueId id = queue_id_of(options.id);
  auto queue = open_queue(context);
  auto message = queue ? queue->trace(id) : std::nullopt;
  if (message) std::erase_if(message->recipients, [](const store::TracedRecipient& one) { return one.ended; });
  if (!message || message->recipients.empty()) {
    throw CommandFailed(
        fmt::format("No message {} waits: it has ended, or was never here. `mailctl trace {}` says which.", options.id,
                    options.id));
  }
  Json shown = {{"id", options.id},
                {"accepted", message->accepted},
                {"sender", '<' + message->reverse_path + '>'},
                {"client", message->client},
                {"authenticated_as", message->authenticated_as.empty() ? Json() : Json(message->authenticated_as)},
                {"recipients", Json::array()}};
  for (const store::TracedRecipient& recipient : message->recipients) {
    shown["recipients"].push_back({{"address", recipient.address},
                                   {"local", recipient.account != 0},
                                   {"state", state_of(recipient)},
                                   {"attempts", recipient.attempts},
                                   {"next_attempt", std::max<UnixTime>(recipient.next_attempt, 0)},
                                   {"last_reply", recipient.reply}});
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
                 {"state", "STATE"},
                 {"attempts", "ATTEMPTS"},
                 {"next_attempt", "NEXT ATTEMPT", Show::time},
                 {"last_reply", "LAST REPLY"}},
                "");
}

void stats(Context& context, const Options& options) {
  Json rows = Json::array();
  if (auto queue = open_queue(context)) {
    for (const store::DestinationRow& row : queue->destinations(std::min(options.limit, kMaxListed))) {
      rows.push_back({{"destination", row.destination.empty() ? "(mailboxes here)" : row.destination},
                      {"waiting", row.waiting},
                      {"due", row.due},
                      {"next_attempt", row.next_attempt},
                      {"oldest", row.oldest},
                      {"reason", row.last_reply}});
    }
  }
  context.print(rows,
                {{"destination", "DESTINATION"},
                 {"waiting", "WAITING"},
                 {"due", "DUE"},
                 {"next_attempt", "NEXT ATTEMPT", Show::time},
                 {"oldest", "OLDEST", Show::time},
                 {"reason", "REASON OF THE OLDEST"}},
                "Nobody waits for a next attempt.");
}

}  // namespace

void add_filter_options(CLI::App& command, FilterOptions& options) {
  command.add_option("--destination", options.destination, "Only recipients of this domain.")->type_name("DOMAIN");
  command.add_option("--sender", options.sender, "Only messages of this sender; <> means reports.")
      ->type_name("ADDRESS");
  command.add_option("--older-than", options.older_than, "Only messages that came longer ago, as 90m, 12h or 2d.")
      ->type_name("DURATION");
  command
      .add_option(
          "--state", options.state,
          "Only what is waiting, held (by an administrator, or set aside after crashes) or active (being tried).")
      ->type_name("STATE");
}

store::QueueFilter filter_of(const FilterOptions& options, UnixTime now) {
  store::QueueFilter filter;
  if (!options.destination.empty()) {
    const auto domain = normalize_domain(options.destination);
    filter.destination = domain ? *domain : lower(options.destination);
  }
  if (!options.sender.empty()) filter.sender = options.sender == "<>" ? std::string() : options.sender;
  if (!options.older_than.empty()) {
    const auto age = config::parse_duration(options.older_than);
    if (!age)
      throw CommandFailed(fmt::format("{} is no duration: write it as 90m, 12h or 2d.", options.older_than), kUsage);
    filter.accepted_before = now - age->count() / 1'000;
  }
  if (options.state == "waiting") {
    filter.state = store::QueueState::waiting;
  } else if (options.state == "held") {
    filter.state = store::QueueState::held;
  } else if (options.state == "active") {
    filter.state = store::QueueState::in_hand;
  } else if (!options.state.empty()) {
    throw CommandFailed(fmt::format("{} is no state: there are waiting, held and active.", options.state), kUsage);
  }
  return filter;
}

store::QueueId queue_id_of(const std::string& text) {
  const store::QueueId id = store::parse_queue_id(text);
  if (id < 0) throw CommandFailed(fmt::format("{} is no queue id; `mailctl queue list` shows them.", text), kUsage);
  return id;
}

std::unique_ptr<store::Queue> open_queue(Context& context) {
  const std::string& state = context.state_folder();
  if (::access((state + "/queue.db").c_str(), F_OK) != 0) return nullptr;
  return std::make_unique<store::Queue>(state, context.clock());
}

void add_queue_commands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("queue", "Mail that waits to be delivered.");
  describe(
      *noun,
      "Mail that was accepted and not yet delivered to everybody: where it is, why, and when it is tried next; and "
      "what can be done about it. All of it works while mta runs and while it does not.",
      "  mailctl queue list\n  mailctl queue show 01JDXYZABCDE\n  mailctl queue flush example.net\n");
  noun->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* list_command = noun->add_subcommand("list", "Lists the messages that wait.");
  describe(
      *list_command,
      "Lists the messages that wait, oldest first, with the recipient that was tried most often, how many recipients "
      "wait, and the last reply.",
      "  mailctl queue list\n  mailctl queue list --destination example.net --older-than 1d\n"
      "  mailctl queue list --state held --limit 1000\n");
  add_filter_options(*list_command, options->filter);
  list_command->add_option("--limit", options->limit, "How many at most; 100 unless said.")->type_name("COUNT");
  list_command->callback([&context, options] { list(context, *options); });
  CLI::App* show_command = noun->add_subcommand("show", "Shows one message and its recipients.");
  describe(*show_command,
           "Shows one waiting message: where it came from, and for each recipient that has not ended the attempts so "
           "far, the last reply, and when it is tried next. `mailctl trace` tells of those that have ended too.",
           "  mailctl queue show 01JDXYZABCDE\n");
  show_command
      ->add_option("ID", options->id, "The queue id, as in the log, the Received field and `mailctl queue list`.")
      ->required();
  show_command->callback([&context, options] { show(context, *options); });
  CLI::App* stats_command = noun->add_subcommand("stats", "Counts what waits, by destination.");
  describe(*stats_command, "Counts the recipients that wait, by destination, those with most of them first.",
           "  mailctl queue stats\n  mailctl --json queue stats --limit 10000\n");
  stats_command->add_option("--limit", options->limit, "How many destinations at most; 100 unless said.")
      ->type_name("COUNT");
  stats_command->callback([&context, options] { stats(context, *options); });
  add_queue_changes(*noun, context);
}

}  // namespace postrider::mailctl
