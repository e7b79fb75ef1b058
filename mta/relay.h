// Direct delivery to other servers by SMTP.
#pragma once

#include <memory>

#include "common/config/config.h"
#include "mta/relay_queue.h"

namespace postrider {

class QueueRunner;

/// What QueueRunner::set_remote() takes. The runner must outlive it. Throws std::runtime_error where DNS cannot be set up.
std::unique_ptr<RemoteDelivery> make_relay(const Config& config, QueueRunner& runner, const Clock& clock);

}  // namespace postrider
