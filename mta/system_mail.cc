#include "mta/system_mail.h"

#include <pwd.h>

#include <algorithm>
#include <array>

#include "common/base/ascii.h"
#include "mta/forwarding.h"

namespace postrider {
namespace {

constexpr std::string_view kRoles[] = {"root", "postmaster", "mailer-daemon", "abuse", "hostmaster", "webmaster"};

bool is_role(std::string_view name) {
  return std::find(std::begin(kRoles), std::end(kRoles), name) != std::end(kRoles);
}

}  // namespace

store::Resolution resolve_elsewhere(store::Directory& directory, const Address& address,
                                    const std::string& separators) {
  store::Resolution resolution = directory.resolve(address.local_part, address.domain, separators);
  if (resolution.kind != store::RecipientKind::foreign_domain) return resolution;
  resolution.kind = store::RecipientKind::known;
  resolution.targets.push_back({0, address.to_string(), 0});
  return resolution;
}

bool SystemMail::is_ours(store::Directory& directory, const Address& address) const {
  if (address.domain.empty() || iequals(address.domain, "localhost")) return true;
  if (!same_domain(address.domain, hostname)) return false;
  return directory.resolve(address.local_part, address.domain, separators).kind == store::RecipientKind::foreign_domain;
}

store::Resolution SystemMail::resolve(store::Directory& directory, const Address& address) const {
  if (!is_ours(directory, address)) {
    store::Resolution resolution = directory.resolve(address.local_part, address.domain, separators);
    const bool here = forwarding != nullptr && resolution.kind != store::RecipientKind::foreign_domain;
    const auto sender = here ? forwarding->restore(address) : tl::unexpected(srs::Fault::other_form);
    return sender ? resolve_elsewhere(directory, *sender, separators) : resolution;
  }
  std::string name = lower(address.local_part);
  auto to_root = [&] {
    auto person = parse_mailbox(root, Utf8::allowed);
    if (!person) return directory.resolve("postmaster", {}, separators);
    return resolve_elsewhere(directory, *person, separators);
  };
  if (name == "root" && !root.empty()) return to_root();
  std::string domain = directory.first_domain();
  store::Resolution resolution;
  resolution.kind = store::RecipientKind::unknown_user;
  if (!domain.empty()) resolution = directory.resolve(name, domain, separators);
  if (resolution.kind == store::RecipientKind::known) return resolution;
  return is_role(name) || (is_user && is_user(name)) ? to_root() : resolution;
}

bool is_system_user(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16 << 10> buffer{};
  return ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
}

}  // namespace postrider
