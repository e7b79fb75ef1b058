// Who goes first when there is too little CPU for all.
#pragma once

namespace postrider {

/// What a thread does, from what somebody waits for to what can wait. Under load the later ones fall behind, and their
/// batches grow; where there is CPU for all, nobody waits.
enum class Priority {
  session = 0,  // reads and answers: the default
  commit = 4,   // makes one transaction of what sessions have handed in
  delivery = 8  // works off what is safe already
};

/// Of the calling thread (setpriority(2)); nothing where the system refuses. It cannot be raised again.
void set_thread_priority(Priority priority);

}  // namespace postrider
