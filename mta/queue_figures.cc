#include "mta/queue_figures.h"

#include <algorithm>

namespace postrider {
namespace {

using metrics::Type;
constexpr int kRest = 20;  // times what counting took

}  // namespace

void QueueFigures::count() {
  const auto now = std::chrono::steady_clock::now();
  if (now < good_until_) return;
  if (!queue_) queue_ = std::make_unique<store::Queue>(state_, clock_);
  summary_ = queue_->summary();
  destinations_ = queue_->destinations(kMaxShownDestinations);
  const auto counted = std::chrono::steady_clock::now();
  good_until_ = counted + kRest * (counted - now);
}

void QueueFigures::show(metrics::Page& page) {
  count();
  page.family("postrider_queue_messages", Type::gauge, "Messages in the queue.");
  page.value(summary_.messages);
  page.family("postrider_queue_recipients", Type::gauge, "Recipients in the queue, by state.");
  page.value(summary_.here + summary_.elsewhere, "state", "waiting");
  page.value(summary_.in_hand, "state", "in_hand");
  page.value(summary_.held, "state", "held");
  page.value(summary_.set_aside, "state", "set_aside");
  page.family("postrider_queue_oldest_seconds", Type::gauge,
              "When the oldest message in the queue was accepted, as unix time; 0: there is none.");
  page.value(summary_.oldest);
  page.family("postrider_queue_waiting_recipients", Type::gauge,
              "Recipients that wait, by destination: the 20 with most of them.");
  int64_t shown = 0;
  for (const store::DestinationRow& row : destinations_) {
    if (row.destination.empty()) continue;
    page.value(row.waiting, "destination", row.destination);
    shown += row.waiting;
  }
  page.value(summary_.here, "destination", kMailboxesHere);
  page.value(std::max<int64_t>(summary_.elsewhere - shown, 0), "destination", kOtherDestinations);
}

}  // namespace postrider
