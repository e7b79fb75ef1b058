#include "common/mailauth/dkim_sign.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "common/base/ascii.h"
#include "common/base/base64.h"
#include "common/mail/header.h"
#include "common/mailauth/dkim_verify.h"

namespace postrider::dkim {
namespace {

constexpr size_t kMaxSame = 20;  // fields of one name that are signed, the lowest ones
constexpr size_t kLine = 76;     // columns

struct SignedName {
  std::string_view name;
  bool once_more;  // what a reader sees, or what changes how the body is read: none may be added
};
// Mailing lists and forwarders add Sender, List-* and Resent-* fields of their own: those are not touched.
constexpr std::array kSigned{
    SignedName{"from", true},         SignedName{"to", true},
    SignedName{"cc", true},           SignedName{"reply-to", true},
    SignedName{"subject", true},      SignedName{"date", true},
    SignedName{"message-id", true},   SignedName{"mime-version", true},
    SignedName{"content-type", true}, SignedName{"content-transfer-encoding", true},
    SignedName{"in-reply-to", false}, SignedName{"references", false},
    SignedName{"autocrypt", false},
};

std::vector<std::string> names_to_sign(std::string_view head) {
  std::unordered_map<std::string, size_t> counts;
  HeaderReader reader(head);
  while (auto field = reader.next()) ++counts[lower(field->name)];
  std::vector<std::string> names;
  for (const SignedName& known : kSigned) {
    const auto found = counts.find(std::string(known.name));
    const size_t there = found == counts.end() ? 0 : std::min(found->second, kMaxSame);
    names.insert(names.end(), there + (known.once_more ? 1 : 0), std::string(known.name));
  }
  return names;
}

/// Puts a text that may be cut anywhere (base64) or behind colons on lines of its own width.
void append_folded(std::string& out, std::string_view tag, std::string_view text, char cut_behind) {
  out += "\r\n\t";
  out += tag;
  size_t column = 8 + tag.size();
  while (!text.empty()) {
    size_t size = text.size();
    if (cut_behind != '\0') {
      size = std::min(text.find(cut_behind), text.size() - 1) + 1;
      if (column + size > kLine && column > 9) {
        out += "\r\n\t ";
        column = 9;
      }
    } else {
      size = std::min(size, kLine - column);
    }
    out += text.substr(0, size);
    column += size;
    text.remove_prefix(size);
    if (cut_behind == '\0' && !text.empty()) {
      out += "\r\n\t ";
      column = 9;
    }
  }
}

}  // namespace

BodyHash::BodyHash() : canonicalizer_(Canon::relaxed) {}

void BodyHash::feed(std::string_view piece) {
  canonicalizer_.feed(piece, [this](std::string_view octets) { hash_.update(octets); });
}

std::string BodyHash::finish() {
  canonicalizer_.finish([this](std::string_view octets) { hash_.update(octets); });
  return hash_.finish();
}

std::string sign_message(std::string_view head, const std::string& body_hash, const std::vector<SigningKey>& keys,
                         UnixTime now) {
  const std::vector<std::string> names = names_to_sign(head);
  const std::string selected = select_fields(head, names, Canon::relaxed);
  std::string fields;
  for (const SigningKey& key : keys) {
    const auto algorithm = algorithm_of(key.key);
    if (!algorithm) throw std::runtime_error(algorithm.error().message);
    std::string field = fmt::format("DKIM-Signature: v=1; a={}; c=relaxed/relaxed;\r\n\td={}; s={}; t={};",
                                    to_string(*algorithm), key.domain, key.selector, now);
    append_folded(field, "h=", fmt::format("{};", fmt::join(names, ":")), ':');
    append_folded(field, "bh=", base64_encode(body_hash) + ";", '\0');
    std::string own = canonical_field(field + "\r\n\tb=", Canon::relaxed);
    own.resize(own.size() - 2);
    append_folded(field, "b=", base64_encode(sign(key.key, selected + own)), '\0');
    fields += field + "\r\n";
  }
  return fields;
}

}  // namespace postrider::dkim
