// Mail of the machine itself: to names without a domain and to names at this host ("root",
// "www-data@mail.example.org"), as cron and other programs send it, and as reports come back to them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/mail/address.h"
#include "store/directory.h"

namespace postrider {

class Forwarding;

struct SystemMail {
  std::string hostname;
  std::string separators;  // of addresses
  std::string root;  // who gets the mail of root and of users that nobody else gets mail for; empty: the postmaster
  std::function<bool(const std::string& name)> is_user;  // of this machine

  Forwarding* forwarding = nullptr;  // knows whose reports come to rewritten senders; null: there are none

  /// Whether the address is one of this host's users and of no mail domain.
  bool is_ours(store::Directory& directory, const Address& address) const;
  /// Where mail for the address goes. Names of this host are those of the first mail domain; what nobody has there goes
  /// to root where it is a user of the machine. Reads the directory.
  store::Resolution resolve(store::Directory& directory, const Address& address) const;
};

/// Where mail goes that an address of ours leads to: as the directory has it, or as it is where that is elsewhere.
store::Resolution resolve_elsewhere(store::Directory& directory, const Address& address, const std::string& separators);

/// Asks the system. May block.
bool is_system_user(const std::string& name);

}  // namespace postrider
