// A mail filter, as milter.list names it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace postrider::config {

struct MilterTarget {
  enum class Mail { all, incoming, submitted };
  std::string name;  // for log lines and for trace
  std::string host;  // name or address
  uint16_t port = 0;
  std::string path;        // a Unix socket, instead
  std::string on_failure;  // "tempfail", "accept", "reject"; empty: as milter.on_failure says
  Mail mail = Mail::all;

  bool wants(bool submitted) const { return mail == Mail::all || (mail == Mail::submitted) == submitted; }
};

/// "unix:/run/opendkim/opendkim.sock mail=submitted", "inet:127.0.0.1:11332 on_failure=accept name=rspamd". The error
/// is a sentence.
Result<MilterTarget> parse_milter(std::string_view text);
Result<std::vector<MilterTarget>> parse_milters(const std::vector<std::string>& texts);

}  // namespace postrider::config
