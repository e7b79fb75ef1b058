#include "imapd/preview.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "common/mail/charset.h"
#include "common/mail/transfer.h"

namespace postrider::imap {
namespace {

constexpr uint64_t kMaxRead = 32 << 10;  // encoded octets of a part that are looked at
constexpr size_t kMaxEntity = 10;        // octets between "&" and ";"

const MimePart* text_part(const MimeIndex& index, std::string_view subtype) {
  for (const MimePart& part : index.parts) {
    if (part.kind != PartKind::leaf || part.body_size == 0) continue;
    bool plain_by_default = part.type.empty() && subtype == "plain";
    if (plain_by_default || (part.type == "text" && part.subtype == subtype)) return &part;
  }
  return nullptr;
}

std::string text_of(const MimePart& part, const ReadOctets& read) {
  std::string raw, octets, text;
  read(part.body_offset(), std::min(part.body_size, kMaxRead), raw);
  TransferDecoder transfer(part.encoding);
  CharsetDecoder charset(part.charset);
  transfer.feed(raw, octets);
  charset.feed(octets, text);
  return text;
}

/// What "&...;" stands for; the name itself where it is not one of the few that text is full of.
std::string entity(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNames = {
      {{"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "}}};
  for (const auto& [known, text] : kNames) {
    if (iequals(name, known)) return std::string(text);
  }
  if (name.starts_with('#')) {
    auto code = parse_number<uint32_t>(name.substr(1));
    if (code && *code >= 0x20 && *code < 0x7f) return std::string(1, static_cast<char>(*code));
  }
  return " ";
}

/// The end of an element whose content is no text: behind its end tag.
size_t skip_element(std::string_view html, size_t at, std::string_view name) {
  for (size_t close = html.find("</", at); close != std::string_view::npos; close = html.find("</", close + 2)) {
    if (istarts_with(html.substr(close + 2), name)) return close;
  }
  return html.size();
}

std::string without_tags(std::string_view html) {
  constexpr std::array<std::string_view, 4> kNoText = {"style", "script", "title", "!--"};
  std::string out;
  for (size_t i = 0; i < html.size(); ++i) {
    if (html[i] == '<') {
      std::string_view tag = html.substr(i + 1);
      size_t end = html.find('>', i);
      for (std::string_view name : kNoText) {
        if (!istarts_with(tag, name)) continue;
        size_t close = name == "!--" ? html.find("-->", i) : skip_element(html, i, name);
        end = close == std::string_view::npos ? close : html.find('>', close);
      }
      if (end == std::string_view::npos) return out;
      out.push_back(' ');
      i = end;
      continue;
    }
    size_t end = html[i] == '&' ? html.find(';', i) : std::string_view::npos;
    if (end != std::string_view::npos && end - i <= kMaxEntity) {
      out += entity(html.substr(i + 1, end - i - 1));
      i = end;
    } else {
      out.push_back(html[i]);
    }
  }
  return out;
}

/// One line: blanks joined, cut between characters.
std::string first_words(std::string_view text) {
  std::string out;
  size_t characters = 0;
  bool blank = false;
  for (char c : text) {
    if (is_ctl(c) || c == ' ') {
      blank = !out.empty();
      continue;
    }
    bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && (characters += blank ? 2 : 1) > kMaxPreview) break;
    if (std::exchange(blank, false)) out.push_back(' ');
    out.push_back(c);
  }
  return out;
}

}  // namespace

std::string make_preview(const MimeIndex& index, const ReadOctets& read) {
  if (const MimePart* plain = text_part(index, "plain")) {
    std::string words = first_words(text_of(*plain, read));
    if (!words.empty()) return words;
  }
  if (const MimePart* html = text_part(index, "html")) return first_words(without_tags(text_of(*html, read)));
  return {};
}

}  // namespace postrider::imap
