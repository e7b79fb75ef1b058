// What imapd counts; docs/metrics.md has each by its name.
#pragma once

#include "common/base/metrics.h"
#include "imapd/reply.h"

namespace postrider::imap {

/// Commands that cost alike.
enum class CommandKind : size_t { other, login, select, list, fetch, search, store, append, copy, expunge, idle };

namespace counted {

inline metrics::Histogram command_seconds(
    "postrider_imap_command_seconds",
    "From a whole command to its tagged answer, by kind; IDLE, which waits for others, is left out.",
    metrics::kDurations,
    {"kind", {"other", "login", "select", "list", "fetch", "search", "store", "append", "copy", "expunge"}});
inline metrics::Counter replies("postrider_imap_replies_total", "Tagged answers to IMAP commands, by their first word.",
                                {"status", {"ok", "no", "bad"}});

}  // namespace counted

inline void count_command(CommandKind kind, std::chrono::steady_clock::time_point began) {
  counted::command_seconds[static_cast<size_t>(kind)].observe(std::chrono::steady_clock::now() - began);
}
inline void count_reply(const Reply& reply) {
  counted::replies[reply.is_ok() ? 0 : reply.is_bad() ? 2 : 1].add();
}

}  // namespace postrider::imap
