// An IMAP session before its login: strangers. As imap_session_fuzz.cc otherwise.
#include "tests/fuzz/imap_client.h"

using namespace postrider::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const size_t piece = input.choice(10);
  input.line();  // seeds have a line end here
  ImapClient client;
  if (piece == 0) {
    client.hold(input);
    client.finish();
  } else {
    client.pour(input, piece * piece * piece);
  }
  return 0;
}
