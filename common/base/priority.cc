#include "common/base/priority.h"

#include <sys/resource.h>
#include <unistd.h>

namespace postrider {

void set_thread_priority(Priority priority) {
  // On Linux a nice value belongs to the thread, whose number the kernel takes for a process's.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), static_cast<int>(priority));
}

}  // namespace postrider
