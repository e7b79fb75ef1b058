// What a filter may send, the header that it changes, and the PROXY protocol's header.
#include <cstdlib>

#include "common/mail/header.h"
#include "common/milter/head.h"
#include "common/milter/protocol.h"
#include "common/net/proxy_header.h"

using namespace postrider;

namespace {

/// Whoever reads as many octets as are missing has read the header, and none of what follows.
void check_proxy_header(std::string_view input) {
  const auto whole = net::read_proxy_header(input);
  if (whole.status == net::ProxyHeader::Status::complete && whole.taken > input.size()) std::abort();
  for (size_t have = 0; have <= input.size();) {
    const auto header = net::read_proxy_header(input.substr(0, have));
    if (header.status != net::ProxyHeader::Status::incomplete) {
      if (header.status == net::ProxyHeader::Status::complete && header.taken != have) std::abort();
      break;
    }
    if (header.missing == 0) std::abort();
    have += header.missing;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  check_proxy_header(input);
  milter::Head head(input);
  // What nobody changed comes out as it went in, but for the end of its empty line.
  const std::string unchanged = head.text();
  if (!input.starts_with(unchanged) &&
      !(unchanged.ends_with("\r\n") && input.starts_with(unchanged.substr(0, unchanged.size() - 2)))) {
    std::abort();
  }
  milter::parse_negotiation(input);
  for (;;) {
    const milter::Packet packet = milter::read_packet(input);
    if (packet.status != milter::Packet::Status::complete) break;
    if (packet.taken > input.size()) std::abort();
    if (const auto response = milter::parse_response(packet.letter, packet.data)) {
      const size_t before = head.fields().size();
      if (response->kind == milter::Response::Kind::add_field) head.add(response->name, response->value, true);
      if (response->kind == milter::Response::Kind::insert_field)
        head.insert(response->index, response->name, response->value, false);
      // However it is written, what is added is one field.
      if (head.fields().size() > before) {
        const std::string text = head.text();
        if (milter::Head(text).fields().size() > head.fields().size()) std::abort();
      }
      smtp::format_reply(response->reply);
    }
    input.remove_prefix(packet.taken);
  }
  return 0;
}
