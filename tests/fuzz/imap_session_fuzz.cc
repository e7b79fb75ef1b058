// An IMAP session behind its login, with a little mail: see imap_client.h for what it is held to. The first octet says
// how the input is sent: step by step, or as a stream in pieces.
#include "tests/fuzz/imap_client.h"

using namespace postrider::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const size_t piece = input.choice(10);
  input.line();  // seeds have a line end here
  ImapClient client;
  client.log_in();
  if (piece == 0) {
    client.hold(input);
    client.finish();
  } else {
    client.pour(input, piece * piece * piece);
  }
  return 0;
}
