// mailctl queue retry, flush, hold, release, remove, bounce: rows are changed, and mta is told that they were.
#include <fmt/format.h>

#include "common/net/hint.h"
#include "mailctl/commands.h"
#include "mailctl/queue_filter.h"

namespace postrider::mailctl {
namespace {

constexpr size_t kMaxReason = 400;  // octets that the sender is told

struct Options {
  std::vector<std::string> ids;
  FilterOptions filter;
  bool all = false;
  std::string reason;
};

struct Verb {
  store::QueueChange change;
  const char* name;
  const char* title;  // for lists
  const char* description;
  const char* done;  // "2 recipients are DONE"
};

constexpr Verb kVerbs[] = {
    {store::QueueChange::retry, "retry", "Tries waiting mail now.",
     "Tries waiting mail now instead of at its next attempt, even where its destination is thought to be dead. What is "
     "held "
     "stays held.",
     "tried now"},
    {store::QueueChange::hold, "hold", "Keeps mail from being tried.",
     "Keeps mail from being tried until `mailctl queue release`. Its lifetime goes on. What is being tried at this "
     "moment is "
     "held when it comes back.",
     "held"},
    {store::QueueChange::release, "release", "Lets held mail go on.",
     "Lets mail go on that was held, or that was set aside because processes ended while they had it in hand; it is "
     "tried at "
     "once.",
     "released"},
    {store::QueueChange::remove, "remove", "Removes mail for good.",
     "Removes mail for good. Nobody is told: `mailctl queue bounce` sends it back instead. What is being tried at this "
     "moment "
     "is removed when it comes back, unless it was delivered.",
     "removed"},
    {store::QueueChange::bounce, "bounce", "Sends mail back to its senders.",
     "Sends mail back to its senders, as if its recipients had refused it. mta does that at once, or when it is "
     "started.",
     "sent back"},
};

/// mta looks at the queue when it is told; while it does not run it need not be.
void wake_mta(Context& context) {
  net::HintSender(context.config().in_state(store::kQueueSocket)).send({});
}

std::string recipients(int64_t count) {
  return count == 1 ? "1 recipient is" : fmt::format("{} recipients are", count);
}

std::string reply_of(const std::string& reason) {
  if (reason.size() > kMaxReason)
    throw CommandFailed(fmt::format("A reason has {} characters at most.", kMaxReason), kUsage);
  return "550 5.7.0 " + (reason.empty() ? "It was sent back by the administrator of this server" : reason);
}

void change(Context& context, const Verb& verb, const Options& options) {
  store::QueueFilter filter = filter_of(options.filter, context.clock().unix_time());
  const FilterOptions& given = options.filter;
  bool chosen =
      !given.destination.empty() || !given.sender.empty() || !given.older_than.empty() || !given.state.empty();
  if (options.ids.empty() && !chosen && !options.all) {
    throw CommandFailed(
        fmt::format("Say which: mailctl queue {} ID, or --destination, --sender, --older-than, --state, or "
                    "--all for everything that waits.",
                    verb.name),
        kUsage);
  }
  std::vector<store::QueueId> ids;
  for (const std::string& id : options.ids) ids.push_back(queue_id_of(id));
  if (ids.empty()) ids.push_back(0);
  store::Changed changed;
  if (auto queue = open_queue(context)) {
    for (store::QueueId id : ids) {
      filter.id = id;
      store::Changed some = queue->change(filter, verb.change, reply_of(options.reason));
      if (id != 0 && some.now + some.later == 0 && !queue->is_waiting(id)) {
        throw CommandFailed(
            fmt::format("No message {0} waits; `mailctl trace {0}` says what became of it.", store::queue_id_text(id)));
      }
      changed.now += some.now;
      changed.later += some.later;
    }
  }
  if (changed.now + changed.later > 0) wake_mta(context);
  std::string sentence = fmt::format("{} {}.", recipients(changed.now), verb.done);
  if (changed.later > 0)
    sentence += fmt::format(" {} being tried at this moment; it counts when that is over.", recipients(changed.later));
  context.result({{"recipients", changed.now}, {"later", changed.later}}, sentence);
}

void add_change(CLI::App& noun, Context& context, const Verb& verb) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand(verb.name, verb.title);
  describe(*command, verb.description,
           fmt::format("  mailctl queue {0} 01JDXYZABCDE\n  mailctl queue {0} --destination example.net\n"
                       "  mailctl queue {0} --sender alice@example.org --older-than 2h\n",
                       verb.name));
  command->add_option("ID", options->ids, "Queue ids of messages.");
  add_filter_options(*command, options->filter);
  command->add_flag("--all", options->all, "Everything that waits.");
  if (verb.change == store::QueueChange::bounce) {
    command->add_option("--reason", options->reason, "What the senders are told.")->type_name("TEXT");
  }
  command->callback([&context, &verb, options] { change(context, verb, *options); });
}

void add_flush(CLI::App& noun, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = noun.add_subcommand("flush", "Tries everything for one destination now.");
  describe(*command, "Tries everything that waits for one destination now: the same as retry --destination.",
           "  mailctl queue flush example.net\n");
  command->add_option("DOMAIN", options->filter.destination, "What is behind the @ of the recipients.")->required();
  command->callback([&context, options] { change(context, kVerbs[0], *options); });
}

}  // namespace

void add_queue_changes(CLI::App& queue, Context& context) {
  for (const Verb& verb : kVerbs) add_change(queue, context, verb);
  add_flush(queue, context);
}

}  // namespace postrider::mailctl
