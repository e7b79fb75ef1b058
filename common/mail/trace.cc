#include "common/mail/trace.h"

#include <algorithm>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/mail/date.h"

namespace postrider {
namespace {

/// What may stand outside of a comment: no blanks, no brackets of comments, nothing that ends the line. Other octets
/// become '?'.
std::string plain_item(std::string_view text) {
  std::string out;
  size_t limit = std::min(text.size(), kMaxTraceItem);
  for (size_t i = 0; i < limit;) {
    size_t size = utf8_sequence(text, i);
    bool fits = size > 0 && i + size <= kMaxTraceItem;
    bool safe = fits && !is_ctl(text[i]) && std::string_view(" ()\\;,<>\"").find(text[i]) == std::string_view::npos;
    if (safe) {
      out += text.substr(i, size);
    } else {
      out += '?';
    }
    i += std::max<size_t>(size, 1);
  }
  return out.empty() ? "unknown" : out;
}

/// An address literal or IP address with the brackets and tag of RFC 5321 4.1.3.
std::string bracketed(std::string_view address) {
  std::string text = plain_item(address);
  return text.find(':') == std::string::npos ? "[" + text + "]" : "[IPv6:" + text + "]";
}

/// Address::to_string without what a hand-made Address could smuggle in.
std::string safe_address(const Address& address) {
  std::string out = quote_local_part(address.local_part);
  if (!address.domain.empty()) out += "@" + plain_item(address.domain);
  std::replace_if(out.begin(), out.end(), is_ctl, '?');
  return out;
}

/// Puts words on lines of at most kMaxTraceLine columns; each line but the first begins with a TAB.
std::string fold(std::string_view name, const std::vector<std::string>& words) {
  std::string out(name);
  out += ':';
  size_t column = out.size();
  for (const auto& word : words) {
    bool fits = column + 1 + word.size() <= kMaxTraceLine;
    out += fits ? " " : "\r\n\t";
    column = (fits ? column + 1 : 8) + word.size();  // a TAB reaches column 8
    out += word;
  }
  out += "\r\n";
  return out;
}

std::string client_comment(const ReceivedTrace& trace) {
  std::string name = trace.client_name.empty() ? "unknown" : plain_item(trace.client_name);
  return "(" + name + " " + bracketed(trace.client_address) + ")";
}

}  // namespace

std::string TraceProtocol::name() const {
  std::string out = utf8 ? "UTF8" : "";
  if (lmtp) {
    out += "LMTP";
  } else {
    out += extended && !utf8 ? "ESMTP" : "SMTP";
  }
  if (!extended && !utf8 && !lmtp) return out;  // RFC 3848 has letters for the extended protocols only
  if (tls) out += 'S';
  if (authenticated) out += 'A';
  return out;
}

std::string format_received(const ReceivedTrace& trace) {
  std::vector<std::string> words;
  if (!trace.client_address.empty() || !trace.helo.empty()) {
    words.push_back("from " + plain_item(trace.helo));
    if (!trace.client_address.empty()) words.push_back(client_comment(trace));
  }
  words.push_back("by " + plain_item(trace.by));
  words.push_back("with " + trace.protocol.name());
  if (!trace.tls_version.empty()) {
    std::string cipher = trace.tls_cipher.empty() ? "" : " cipher " + plain_item(trace.tls_cipher);
    words.push_back("(" + plain_item(trace.tls_version) + cipher + ")");
  }
  if (!trace.id.empty()) words.push_back("id " + plain_item(trace.id));
  if (trace.recipient) words.push_back("for <" + safe_address(*trace.recipient) + ">");
  words.back() += ";";
  words.push_back(format_date_time(trace.time));
  return fold("Received", words);
}

std::string format_return_path(const std::optional<Address>& reverse_path) {
  return "Return-Path: <" + (reverse_path ? safe_address(*reverse_path) : "") + ">\r\n";
}

std::string format_delivered_to(const Address& recipient) {
  return "Delivered-To: " + safe_address(recipient) + "\r\n";
}

}  // namespace postrider
