// The DKIM keys of our domains: STATE/dkim/DOMAIN/SELECTOR.pem, for the daemons' user alone, and beside it SELECTOR.txt
// with the record that DNS is to hold. mailctl writes them, and mta where it follows them with new ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/mailauth/dkim_crypto.h"

namespace postrider::store {

constexpr size_t kMaxDkimKeys = 100;            // of one domain
constexpr UnixTime kWhenPublished = INT64_MAX;  // from when a key signs: when DNS has its record
// Seconds; a signature may be looked at that long after it was made.
constexpr UnixTime kDkimKeptAfterUse = UnixTime{14} * 86'400;

struct DkimKey {
  std::string domain, selector;
  dkim::Algorithm algorithm = dkim::Algorithm::rsa_sha256;
  UnixTime created = 0;
  UnixTime signs_from = 0;  // before, it is only published; may be kWhenPublished
  std::string record;       // "v=DKIM1; k=rsa; p=..."

  /// "r20260131._domainkey.example.org".
  std::string record_name() const { return selector + "._domainkey." + domain; }
};

class DkimKeys {
 public:
  /// state: the state folder.
  explicit DkimKeys(const std::string& state) : folder_(state + "/dkim") {}

  /// A new key of each kind, named after the day. They sign from then on; until then the older ones do. Throws
  /// std::system_error.
  std::vector<DkimKey> create(const std::string& domain, UnixTime now, UnixTime signs_from);
  /// The same of one kind.
  DkimKey create(const std::string& domain, dkim::Algorithm algorithm, UnixTime now, UnixTime signs_from);
  /// From when a key signs. False: it is gone. Throws std::system_error.
  bool set_signs_from(const DkimKey& key, UnixTime signs_from);
  /// Oldest first; files that cannot be read are left out. Empty where the domain has none.
  std::vector<DkimKey> list(const std::string& domain) const;
  /// Domains that have keys, in alphabetical order.
  std::vector<std::string> domains() const;
  /// The private key.
  Result<dkim::Key> load(const DkimKey& key) const;
  /// False: there is no such key. Throws std::system_error.
  bool remove(const std::string& domain, const std::string& selector);
  /// Changes when a key comes or goes; 0: there are none.
  int64_t stamp(const std::string& domain) const;
  /// Where the record stands as text.
  std::string record_file(const DkimKey& key) const { return folder_ + '/' + key.domain + '/' + key.selector + ".txt"; }

 private:
  std::string free_selector(const std::string& domain, char kind, UnixTime now) const;
  void write(const DkimKey& key, const std::string& pem);

  std::string folder_;
};

/// What a key is good for.
enum class DkimUse {
  waits,   // until DNS has its record
  next,    // signs from a time that is known
  signs,   // now
  old,     // not any more, but mail is on its way that needs its record
  unused,  // its record may be taken out of DNS
};
std::string_view to_string(DkimUse use);
/// keys: all of a domain, as list() gives them.
DkimUse use_of(const std::vector<DkimKey>& keys, const DkimKey& key, UnixTime now);
/// When the key that follows this one began to sign; nothing: none does yet.
std::optional<UnixTime> replaced_at(const std::vector<DkimKey>& keys, const DkimKey& key, UnixTime now);

/// Those that sign at this time: of each kind the one whose time began last.
std::vector<DkimKey> signing_keys(const std::vector<DkimKey>& keys, UnixTime now);

/// A TXT record as a zone file has it: NAME. IN TXT "..." "...", in strings of at most 255 octets.
std::string zone_line(const std::string& name, const std::string& text);

}  // namespace postrider::store
