// The text of DATA: the same however it is cut; what the encoder writes is read back, and ends only at its end.
#include <cstdlib>
#include <string>

#include "common/smtp/dot_codec.h"

using namespace postrider::smtp;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string whole, pieces;
  DotDecoder at_once(1000), by_octet(1000);
  const size_t taken = at_once.feed(input, whole);
  size_t octets = 0;
  while (octets < size && !by_octet.ended()) octets += by_octet.feed(input.substr(octets, 1), pieces);
  if (whole != pieces || taken != octets || at_once.ended() != by_octet.ended()) std::abort();
  if (at_once.bare_line_end() != by_octet.bare_line_end() || at_once.line_too_long() != by_octet.line_too_long())
    std::abort();

  std::string encoded, decoded;
  DotEncoder encoder;
  encoder.feed(input, encoded);
  encoder.finish(encoded);
  DotDecoder decoder(size + 3);
  if (decoder.feed(encoded, decoded) != encoded.size() || !decoder.ended() || decoder.bare_line_end()) std::abort();
  return 0;
}
