// What both daemons count at their store; docs/metrics.md has each by its name.
#pragma once

#include "common/base/metrics.h"

namespace postrider::store::counted {

inline metrics::Counter account_commits("postrider_account_commits_total",
                                        "Transactions that changed the file of an account.");
inline metrics::Histogram account_flush_seconds("postrider_account_flush_seconds", "Flushes of the file of an account.",
                                                metrics::kDurations);

enum Login : size_t { kLoginOk, kLoginFailed, kLoginBanned };
inline metrics::Counter logins("postrider_logins_total",
                               "Logins; banned: they were not even tried, because too many had failed before.",
                               {"result", {"ok", "failed", "banned"}});

}  // namespace postrider::store::counted
