#include "common/milter/protocol.h"

#include <algorithm>
#include <span>

#include "common/base/ascii.h"
#include "common/base/format.h"

namespace postrider::milter {
namespace {

using namespace std::string_view_literals;

void append_u32(std::string& out, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xff);
}

void append_string(std::string& out, std::string_view text) {
  out += text.substr(0, text.find('\0'));
  out += '\0';
}

/// Takes pieces from the front of a packet's data.
class Taker {
 public:
  explicit Taker(std::string_view data) : rest_(data) {}

  bool at_end() const { return rest_.empty(); }
  std::optional<uint32_t> number() {
    if (rest_.size() < 4) return std::nullopt;
    uint32_t value = 0;
    for (char c : rest_.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
    rest_.remove_prefix(4);
    return value;
  }
  /// Up to NUL, which has to be there.
  std::optional<std::string_view> string() {
    const size_t end = rest_.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    const auto text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }

 private:
  std::string_view rest_;
};

struct UsualMacros {
  Stage stage;
  std::array<std::string_view, 6> names;
};
constexpr UsualMacros kUsual[] = {
    {Stage::connect, {"j", "{daemon_name}", "{daemon_addr}", "{client_addr}", "{client_ptr}", "v"}},
    {Stage::helo, {"{tls_version}", "{cipher}", "{cipher_bits}", "", "", ""}},
    {Stage::mail, {"i", "{auth_type}", "{auth_authen}", "{mail_addr}", "{mail_host}", "{mail_mailer}"}},
    {Stage::rcpt, {"{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}", "i", "", ""}},
    {Stage::data, {"i", "", "", "", "", ""}},
    {Stage::end_of_message, {"i", "{auth_authen}", "", "", "", ""}},
    {Stage::end_of_fields, {"i", "", "", "", "", ""}},
};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (words.size() < kMaxSymbols) {
    const size_t begin = text.find_first_not_of(" ,\t");
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const size_t end = std::min(text.find_first_of(" ,\t"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

bool is_field_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127 && c != ':'; });
}

bool is_enhanced_status(std::string_view text, char first) {
  return text.size() >= 5 && text[0] == first && text[1] == '.' && is_digit(text[2]);
}

/// "550 5.7.1 no" or several such lines. Where the filter names no enhanced status code the usual one stands for it.
std::optional<smtp::Reply> parse_custom(std::string_view text) {
  if (text.size() < 3 || (text[0] != '4' && text[0] != '5') || !is_digit(text[1]) || !is_digit(text[2])) {
    return std::nullopt;
  }
  smtp::Reply reply;
  reply.code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  reply.status = smtp::status::kNone;  // the lines have it
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line = trim(line);
    if (line.empty()) continue;
    if (line.size() >= 3 && std::all_of(line.begin(), line.begin() + 3, is_digit)) {
      line.remove_prefix(std::min<size_t>(line.size() > 3 && (line[3] == '-' || line[3] == ' ') ? 4 : 3, line.size()));
    }
    if (!reply.text.empty()) reply.text += '\n';
    const char first = static_cast<char>('0' + reply.code / 100);
    if (!is_enhanced_status(line, first)) append_format(reply.text, "{}.7.1 ", first);
    for (size_t at = 0; at < line.size(); ++at) {
      reply.text += line[at];
      if (line[at] == '%' && at + 1 < line.size() && line[at + 1] == '%') ++at;  // libmilter wants it written twice
    }
  }
  return reply;
}

std::optional<Response> parse_field(Response response, Taker& taker, bool indexed) {
  if (indexed) {
    const auto index = taker.number();
    if (!index) return std::nullopt;
    response.index = *index;
  }
  const auto name = taker.string();
  const auto value = taker.string();
  if (!name || !value || !is_field_name(*name) || name->size() + value->size() > kMaxFieldChange) return std::nullopt;
  response.name = *name;
  response.value = *value;
  return response;
}

std::optional<Response> parse_address(Response response, Taker& taker) {
  const auto address = taker.string();
  if (!address) return std::nullopt;
  response.name = *address;
  if (const auto parameters = taker.string()) response.value = *parameters;
  return response;
}

}  // namespace

void append_packet(std::string& out, Command command, std::string_view data) {
  append_u32(out, static_cast<uint32_t>(data.size() + 1));
  out += static_cast<char>(command);
  out += data;
}

void append_negotiation(std::string& out) {
  std::string data;
  append_u32(data, kVersion);
  append_u32(data, kAllActions);
  append_u32(data, kAllOmissions);
  append_packet(out, Command::negotiate, data);
}

void append_macros(std::string& out, Command command, Stage stage, const std::vector<std::string>& chosen,
                   const Macros& macros) {
  std::string data(1, static_cast<char>(command));
  const auto add = [&](std::string_view name) {
    const auto found = macros.find(name);
    if (name.empty() || found == macros.end() || found->second.empty()) return;
    append_string(data, name);
    append_string(data, found->second);
  };
  if (!chosen.empty()) {
    for (const std::string& name : chosen) add(name);
  } else {
    for (const UsualMacros& usual : kUsual) {
      if (usual.stage == stage) std::for_each(usual.names.begin(), usual.names.end(), add);
    }
  }
  append_packet(out, Command::macros, data);
}

void append_connect(std::string& out, std::string_view name, std::string_view address, uint16_t port) {
  std::string data;
  append_string(data, name);
  data += address.find(':') != std::string_view::npos ? '6' : '4';
  data += static_cast<char>(port >> 8);
  data += static_cast<char>(port & 0xff);
  append_string(data, address);
  append_packet(out, Command::connect, data);
}

void append_strings(std::string& out, Command command, const std::vector<std::string>& strings) {
  std::string data;
  for (const std::string& text : strings) append_string(data, text);
  append_packet(out, command, data);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  std::string data;
  append_string(data, name);
  append_string(data, value);
  append_packet(out, Command::field, data);
}

Packet read_packet(std::string_view input) {
  Packet packet;
  const auto length = Taker(input).number();
  if (!length) return packet;
  if (*length == 0 || *length > kMaxPacket) {
    packet.status = Packet::Status::malformed;
    return packet;
  }
  if (input.size() - kLengthOctets < *length) return packet;
  packet.status = Packet::Status::complete;
  packet.letter = input[kLengthOctets];
  packet.data = input.substr(kLengthOctets + 1, *length - 1);
  packet.taken = kLengthOctets + *length;
  return packet;
}

Result<Negotiation> parse_negotiation(std::string_view data) {
  Taker taker(data);
  const auto version = taker.number();
  const auto actions = taker.number();
  const auto omissions = taker.number();
  if (!version || !actions || !omissions) return failure("its answer to the negotiation is cut off");
  if (*version < kOldestVersion || *version > kVersion) {
    return failure(fmt::format("it speaks version {} of the protocol", *version));
  }
  if ((*actions & ~uint32_t{kAllActions}) != 0) {
    return failure(fmt::format("it wants to do what nobody here knows (actions {:#x})", *actions));
  }
  if ((*omissions & ~uint32_t{kAllOmissions}) != 0) {
    return failure(fmt::format("it wants steps of the protocol that were not offered ({:#x})", *omissions));
  }
  Negotiation negotiation;
  negotiation.version = *version;
  negotiation.actions = *actions;
  negotiation.omissions = *omissions;
  while (!taker.at_end()) {
    const auto stage = taker.number();
    const auto names = taker.string();
    if (!stage || !names || *stage >= kStages) return failure("its list of macros is damaged");
    negotiation.symbols[*stage] = words_of(*names);
  }
  return negotiation;
}

std::optional<Response> parse_response(char letter, std::string_view data) {
  using Kind = Response::Kind;
  Response response;
  Taker taker(data);
  const auto is = [&response](Kind kind) {
    response.kind = kind;
    return response;
  };
  switch (letter) {
    case 'c':
      return is(Kind::go_on);
    case 'a':
      return is(Kind::accept);
    case 'r':
      return is(Kind::reject);
    case 't':
      return is(Kind::temporary);
    case 'd':
      return is(Kind::discard);
    case 's':
      return is(Kind::skip);
    case 'p':
      return is(Kind::progress);
    case 'f':
    case '4':
      return is(Kind::close);
    case 'y': {
      auto reply = parse_custom(data.substr(0, data.find('\0')));
      if (!reply) return std::nullopt;
      response.reply = std::move(*reply);
      return is(Kind::custom);
    }
    case '+':
    case '2':
      return parse_address(is(Kind::add_recipient), taker);
    case '-':
      return parse_address(is(Kind::remove_recipient), taker);
    case 'e':
      return parse_address(is(Kind::change_sender), taker);
    case 'h':
      return parse_field(is(Kind::add_field), taker, false);
    case 'i':
      return parse_field(is(Kind::insert_field), taker, true);
    case 'm':
      return parse_field(is(Kind::change_field), taker, true);
    case 'b':
      response.value = data;
      return is(Kind::replace_body);
    case 'q':
      response.value = data.substr(0, data.find('\0'));
      return is(Kind::quarantine);
    default:
      return std::nullopt;
  }
}

}  // namespace postrider::milter
