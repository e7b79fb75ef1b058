// DKIM's canonical forms (RFC 6376 3.4).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace postrider::dkim {

enum class Canon { simple, relaxed };

/// raw: a whole field with its line ends. With one CRLF at its end.
std::string canonical_field(std::string_view raw, Canon canon);

/// The body in pieces that are cut anywhere, and its canonical octets out again. Memory stays small whatever comes.
class BodyCanonicalizer {
 public:
  explicit BodyCanonicalizer(Canon canon) : canon_(canon) {}

  using Sink = std::function<void(std::string_view)>;
  void feed(std::string_view piece, const Sink& sink);
  void finish(const Sink& sink);

 private:
  void content(std::string_view text, const Sink& sink);
  void put(std::string_view text, const Sink& sink);
  void pass_on(const Sink& sink);

  const Canon canon_;
  std::string out_;
  uint64_t lines_ = 0;  // line ends that count only when something follows
  bool cr_ = false;     // the last octet was CR
  bool blank_ = false;  // relaxed: blanks that count only when something follows on the line
  bool written_ = false;
};

}  // namespace postrider::dkim
