#include "store/dkim_keys.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <optional>
#include <system_error>
#include <tuple>

#include "common/base/number.h"
#include "common/mail/address.h"
#include "store/small_file.h"

namespace postrider::store {
namespace {

namespace fs = std::filesystem;
using dkim::Algorithm;

constexpr size_t kMaxString = 255;  // octets of one string in a TXT record

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) fail(path);
}

/// "Created: 1790000000" before the PEM.
std::optional<UnixTime> time_in(const std::string& text, std::string_view name) {
  const std::string wanted = fmt::format("{}: ", name);
  const size_t pem = text.find("-----BEGIN");
  const size_t at = text.find(wanted);
  if (at == std::string::npos || at > pem || (at > 0 && text[at - 1] != '\n')) return std::nullopt;
  const size_t begin = at + wanted.size();
  const auto number = parse_number(std::string_view(text).substr(begin, text.find_first_of(" \n", begin) - begin));
  return number ? std::optional(static_cast<UnixTime>(*number)) : std::nullopt;
}

/// What is a domain in DNS cannot be a path that leads elsewhere.
bool is_folder_name(const std::string& domain) {
  return is_domain(domain, Utf8::refused) && normalize_domain(domain) == domain;
}

}  // namespace

std::string DkimKeys::free_selector(const std::string& domain, char kind, UnixTime now) const {
  const std::string day = fmt::format("{}{:%Y%m%d}", kind, fmt::gmtime(static_cast<std::time_t>(now)));
  std::string selector = day;
  for (char letter = 'b'; fs::exists(fmt::format("{}/{}/{}.pem", folder_, domain, selector)) && letter <= 'z';
       ++letter) {
    selector = day + letter;
  }
  return selector;
}

std::vector<DkimKey> DkimKeys::create(const std::string& domain, UnixTime now, UnixTime signs_from) {
  return {create(domain, Algorithm::rsa_sha256, now, signs_from),
          create(domain, Algorithm::ed25519_sha256, now, signs_from)};
}

DkimKey DkimKeys::create(const std::string& domain, Algorithm algorithm, UnixTime now, UnixTime signs_from) {
  if (!is_folder_name(domain)) throw std::runtime_error(fmt::format("{} is no domain", domain));
  make_folder(folder_);
  make_folder(folder_ + '/' + domain);
  const dkim::Key key = dkim::generate_key(algorithm);
  const char kind = algorithm == Algorithm::rsa_sha256 ? 'r' : 'e';
  DkimKey made{domain, free_selector(domain, kind, now), algorithm, now, signs_from, dkim::key_record_text(key)};
  write(made, dkim::private_key_pem(key));
  flush_folder(folder_ + '/' + domain);
  flush_folder(folder_);
  return made;
}

bool DkimKeys::set_signs_from(const DkimKey& key, UnixTime signs_from) {
  const auto loaded = load(key);
  if (!loaded) return false;
  DkimKey changed = key;
  changed.signs_from = signs_from;
  write(changed, dkim::private_key_pem(*loaded));
  flush_folder(folder_ + '/' + key.domain);
  return true;
}

void DkimKeys::write(const DkimKey& key, const std::string& pem) {
  const auto day = [](UnixTime time) {
    if (time == kWhenPublished) return std::string("when DNS has its record");
    return fmt::format("{:%Y-%m-%d %H:%M UTC}", fmt::gmtime(static_cast<std::time_t>(time)));
  };
  // The record first: the key signs as soon as it is there.
  write_small_file(record_file(key),
                   fmt::format("; The record that DNS is to hold for {}:\n; {}\n{}\n", key.record_name(), key.record,
                               zone_line(key.record_name(), key.record)),
                   0644);
  write_small_file(
      fmt::format("{}/{}/{}.pem", folder_, key.domain, key.selector),
      fmt::format("DKIM key of {}, selector {}: keep it secret.\nCreated: {} ({})\nSigns-From: {} ({})\n{}", key.domain,
                  key.selector, key.created, day(key.created), key.signs_from, day(key.signs_from), pem),
      0600);
}

std::vector<DkimKey> DkimKeys::list(const std::string& domain) const {
  std::vector<DkimKey> keys;
  if (!is_folder_name(domain)) return keys;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder_ + '/' + domain, missing)) {
    if (entry.path().extension() != ".pem" || keys.size() == kMaxDkimKeys) continue;
    const std::string text = read_small_file(entry.path());
    const auto key = dkim::load_private_key(text);
    if (!key) continue;
    DkimKey& info = keys.emplace_back();
    info.domain = domain;
    info.selector = entry.path().stem();
    info.algorithm = *dkim::algorithm_of(*key);
    info.created = time_in(text, "Created").value_or(0);
    info.signs_from = time_in(text, "Signs-From").value_or(0);
    info.record = dkim::key_record_text(*key);
  }
  std::sort(keys.begin(), keys.end(), [](const DkimKey& a, const DkimKey& b) {
    return std::tie(a.signs_from, a.created, a.selector) < std::tie(b.signs_from, b.created, b.selector);
  });
  return keys;
}

std::vector<std::string> DkimKeys::domains() const {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder_, missing)) {
    if (entry.is_directory() && !list(entry.path().filename()).empty()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<dkim::Key> DkimKeys::load(const DkimKey& key) const {
  return dkim::load_private_key(read_small_file(fmt::format("{}/{}/{}.pem", folder_, key.domain, key.selector)));
}

bool DkimKeys::remove(const std::string& domain, const std::string& selector) {
  const auto keys = list(domain);
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const DkimKey& key) { return key.selector == selector; });
  if (found == keys.end()) return false;
  fs::remove(fmt::format("{}/{}/{}.pem", folder_, domain, selector));
  fs::remove(record_file(*found));
  flush_folder(folder_ + '/' + domain);
  return true;
}

int64_t DkimKeys::stamp(const std::string& domain) const {
  struct stat info {};
  if (!is_folder_name(domain) || ::stat((folder_ + '/' + domain).c_str(), &info) != 0) return 0;
  return info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
}

std::vector<DkimKey> signing_keys(const std::vector<DkimKey>& keys, UnixTime now) {
  std::vector<DkimKey> chosen;
  for (Algorithm algorithm : {Algorithm::rsa_sha256, Algorithm::ed25519_sha256}) {
    for (const DkimKey& key : keys) {
      if (key.algorithm == algorithm && use_of(keys, key, now) == DkimUse::signs) chosen.push_back(key);
    }
  }
  return chosen;
}

std::string_view to_string(DkimUse use) {
  switch (use) {
    case DkimUse::waits:
      return "waits";
    case DkimUse::next:
      return "next";
    case DkimUse::signs:
      return "signs";
    case DkimUse::old:
      return "old";
    case DkimUse::unused:
      break;
  }
  return "unused";
}

std::optional<UnixTime> replaced_at(const std::vector<DkimKey>& keys, const DkimKey& key, UnixTime now) {
  bool behind = false;
  for (const DkimKey& other : keys) {  // in the order of their times
    if (behind && other.algorithm == key.algorithm && other.signs_from <= now) return other.signs_from;
    behind = behind || other.selector == key.selector;
  }
  return std::nullopt;
}

DkimUse use_of(const std::vector<DkimKey>& keys, const DkimKey& key, UnixTime now) {
  if (key.signs_from == kWhenPublished) return DkimUse::waits;
  if (key.signs_from > now) return DkimUse::next;
  const auto replaced = replaced_at(keys, key, now);
  if (!replaced) return DkimUse::signs;
  return *replaced + kDkimKeptAfterUse < now ? DkimUse::unused : DkimUse::old;
}

std::string zone_line(const std::string& name, const std::string& text) {
  std::string line = fmt::format("{}. IN TXT", name);
  size_t at = 0;
  do {
    line += " \"";
    for (char c : std::string_view(text).substr(at, kMaxString)) {
      if (c == '"' || c == '\\') line += '\\';
      line += c;
    }
    line += '"';
    at += kMaxString;
  } while (at < text.size());
  return line;
}

}  // namespace postrider::store
