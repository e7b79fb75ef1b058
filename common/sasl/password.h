// How a password is kept and checked: argon2id for mechanisms that hand over the password, SCRAM-SHA-256 keys for the
// one that proves it. Nothing here reads files or clocks; argon2 costs tens of milliseconds, so it is work for a worker
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/result.h"

namespace postrider::sasl {

constexpr size_t kMaxPasswordOctets = 1'024;  // more is refused before any hashing
constexpr int kScramIterations = 40'000;      // RFC 7677 asks for 4,096 at least
constexpr size_t kScramSaltOctets = 16;
constexpr size_t kScramKeyOctets = 32;

/// What is stored of a password. scram_salt, stored_key and server_key (RFC 5802 section 3) are raw octets.
struct PasswordRecord {
  std::string argon2id;  // "$argon2id$v=19$m=...$salt$hash"
  std::string scram_salt;
  int scram_iterations = 0;
  std::string stored_key, server_key;
  bool operator==(const PasswordRecord&) const = default;
};

/// SASLprep (RFC 4013) of UTF-8 text. Fails for invalid UTF-8, control and other prohibited characters, mixed
/// directions. stored: refuse code points that Unicode 3.2 does not assign, as RFC 3454 section 7 asks of what is
/// stored.
Result<std::string> saslprep(std::string_view text, bool stored);

/// A new record with fresh salts. Fails for an empty or too long password and for one that SASLprep refuses.
Result<PasswordRecord> make_password_record(std::string_view password);

/// True where it is the password. A damaged record, or a password that could never be stored, is false.
bool verify_password(const PasswordRecord& record, std::string_view password);

/// Somebody else who knows users and their passwords, such as the system that this runs on.
class PasswordSource {
 public:
  virtual ~PasswordSource() = default;
  /// Blocks; for worker threads.
  virtual bool check(const std::string& user, std::string_view password) = 0;
};
/// A record of a user whose password such a source knows, by the name that it has there. No password fits the record
/// itself, nor any SCRAM exchange.
PasswordRecord outside_password_record(std::string_view user);
/// The name of such a record's user there; empty: it is a record of our own.
std::string_view outside_user(const PasswordRecord& record);

/// A record that no password fits and that costs as much to check as a real one: for users that do not exist.
const PasswordRecord& dummy_record();

/// The SCRAM-SHA-256 half of a record (RFC 5802 section 3) for a password that went through SASLprep.
struct ScramKeys {
  std::string stored_key, server_key;
};
ScramKeys derive_scram_keys(std::string_view prepared_password, std::string_view salt, int iterations);
/// What a client needs of the same.
struct ScramClientKeys {
  std::string client_key, server_key;
};
ScramClientKeys derive_scram_client_keys(std::string_view prepared_password, std::string_view salt, int iterations);

std::string hmac_sha256(std::string_view key, std::string_view text);
std::string sha256(std::string_view text);
/// In a time that depends on the length alone.
bool equal_constant_time(std::string_view a, std::string_view b);

/// Remembers for a short time which passwords were right, so that a client that logs in again and again pays argon2
/// once. Keeps an HMAC under a key of this process over account, record and password, never the password: an entry
/// cannot serve another account, and is dead when the record changes. Safe to use from any thread.
class VerifiedCache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr size_t kMaxEntries = 10'000;
  static constexpr std::chrono::seconds kLifetime{300};

  VerifiedCache();

  /// For records of users whom it knows; before the first of them, and it must outlive this. Null: nobody knows them.
  void ask_outside(PasswordSource* source) { source_ = source; }

  /// verify_password(), or the memory of it; of what a source outside says nothing is remembered.
  bool verify(int64_t account, const PasswordRecord& record, std::string_view password, Time now);
  bool contains(int64_t account, const PasswordRecord& record, std::string_view password, Time now) const;
  void remember(int64_t account, const PasswordRecord& record, std::string_view password, Time now);
  size_t size() const;

 private:
  std::string tag(int64_t account, const PasswordRecord& record, std::string_view password) const;
  void make_room(Time now);

  const std::string key_;
  PasswordSource* source_ = nullptr;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Time> expires_;
};

}  // namespace postrider::sasl

namespace postrider {
using sasl::PasswordRecord;  // the store keeps it
}
