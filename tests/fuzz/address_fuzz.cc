// Addresses: what is taken, written and read again is the same address; a normalised domain stays as it is.
#include <cstdlib>

#include "common/mail/address.h"
#include "common/mail/address_list.h"

using namespace postrider;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Utf8 utf8 : {Utf8::refused, Utf8::allowed}) {
    if (const auto address = parse_mailbox(text, utf8)) {
      const auto again = parse_mailbox(address->to_string(), utf8);
      if (!again || *again != *address) std::abort();
    }
    if (const auto path = parse_reverse_path(text, utf8); path && path->size > size) std::abort();
    if (const auto path = parse_forward_path(text, utf8); path && path->size > size) std::abort();
  }
  if (const auto domain = normalize_domain(text)) {
    const auto again = normalize_domain(*domain);
    if (!again || *again != *domain) std::abort();
  }
  address_literal_ip(text);
  return 0;
}
