// What DNS says of the address that a session comes from: its name, confirmed both ways, and the lists of addresses
// that send spam; and what is wrong with the name in HELO.
#pragma once

#include <asio.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/smtp/reply.h"
#include "mta/check_dns.h"
#include "mta/session_settings.h"

namespace postrider {

constexpr size_t kMaxClientNames = 5;      // names of one address that are looked at
constexpr size_t kMaxListingReason = 200;  // octets of a list's own words

/// Of one session; its client is another server.
struct ClientFacts {
  enum class ReverseDns { unchecked, pass, fail, none, temperror };
  struct Listing {
    std::string zone, reason;
  };
  ReverseDns reverse_dns = ReverseDns::unchecked;
  std::string name;     // confirmed: it leads back to the address; empty: none
  std::string claimed;  // the first name of the address, whether it leads back or not
  std::vector<Listing> listings;

  std::optional<smtp::Reply> refusal;  // as the configuration wants it, for all recipients but the postmaster
  bool junk = false;
  std::vector<std::string> results;  // clauses for Authentication-Results
  std::string summary;               // for the log: "iprev=pass dnsbl=bl.example"
};

/// Asks what the configuration wants to be asked. On any loop; takes no longer than checks.timeout, and never fails.
/// helo: as it was given. local: the address that the client connected to.
asio::awaitable<ClientFacts> examine_client(CheckDns& dns, std::string address, std::string helo, std::string local,
                                            std::shared_ptr<const SessionSettings> settings);

/// What is wrong with the argument of HELO or EHLO of another server; empty: nothing.
std::string helo_fault(std::string_view helo, std::string_view own_name, std::string_view own_address);

}  // namespace postrider
