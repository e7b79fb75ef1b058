// What comes over an SMTP connection, line by line: replies of a server, commands of a client; the same however it is
// cut. What we reply is a reply, whatever it says.
#include <string>

#include "common/smtp/extensions.h"
#include "common/smtp/line_reader.h"
#include "common/smtp/reply.h"
#include "tests/fuzz/must.h"

using namespace postrider;
using fuzz::must;

namespace {

constexpr size_t kMaxReplies = 100;
constexpr size_t kMaxLine = 100;

std::string replies(std::string_view text, size_t piece) {
  std::string out;
  smtp::ReplyParser parser;
  size_t count = 0;
  for (size_t at = 0; at < text.size() && count < kMaxReplies;) {
    const std::string_view some = text.substr(at, piece - at % piece);
    const size_t taken = parser.feed(some);
    must(taken <= some.size(), "no more is taken than there is");
    at += taken;
    if (parser.state() == smtp::ReplyParser::State::malformed) return out + "malformed";
    if (parser.state() != smtp::ReplyParser::State::complete) {
      must(taken == some.size(), "what goes on takes all");
      continue;
    }
    const smtp::ServerReply reply = parser.take();
    must(reply.code >= 100 && reply.code <= 999, "a code has three digits");
    must(!reply.lines.empty() && reply.lines.size() <= smtp::ReplyParser::kMaxLines, "a reply has lines");
    for (const std::string& line : reply.lines) must(line.size() <= smtp::ReplyParser::kMaxLine, "a line has an end");
    const smtp::Extensions offered = smtp::parse_extensions(reply);
    must(offered.all().size() <= smtp::kMaxExtensions, "extensions have a limit");
    offered.limits();
    offered.size_limit();
    must(reply.to_string().find_first_of("\r\n") == std::string::npos, "a reply is told on one line");
    out += reply.to_string() + "\n";
    ++count;
  }
  return out;
}

std::string commands(std::string_view text, size_t piece) {
  std::string out, held;
  smtp::LineReader reader(kMaxLine);
  for (size_t at = 0; at < text.size(); at += piece) {
    held += text.substr(at, piece);
    for (;;) {
      const auto line = reader.next(held);
      must(line.taken <= held.size() && line.text.size() <= held.size(), "a line is in its input");
      const bool more = line.status != smtp::LineReader::Status::incomplete;
      if (line.status == smtp::LineReader::Status::line) {
        must(line.text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos, "a line is clean");
        must(line.text.size() + 2 <= kMaxLine, "a line has a limit");
        out += std::string(line.text) + "\n";
      }
      held.erase(0, line.taken);
      if (!more) break;
    }
    must(held.size() <= kMaxLine + piece, "what is no line is not kept");
  }
  return out;
}

bool has_bare_lf(std::string_view text) {
  for (size_t at = 0; (at = text.find('\n', at)) != std::string_view::npos; ++at) {
    if (at == 0 || text[at - 1] != '\r') return true;
  }
  return false;
}

void check_reply(const std::string& text) {
  must(text.ends_with("\r\n"), "a reply ends with its line");
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find("\r\n", at);
    const std::string_view line = std::string_view(text).substr(at, end - at);
    must(line.size() >= 4 && line.size() + 2 <= 512, "a reply line is at most 512 octets");
    must(line.substr(0, 3) == text.substr(0, 3), "a reply has one code");
    must((line[3] == ' ') == (end + 2 == text.size()), "the last line has a space");
    for (const char c : line) must(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', "a reply is clean");
    at = end + 2;
  }
  smtp::ReplyParser parser;
  must(parser.feed(text) == text.size() && parser.state() == smtp::ReplyParser::State::complete, "we read our replies");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t piece = 1 + input.choice(9);
  const std::string_view text = input.rest();
  must(replies(text, text.size() + 1) == replies(text, piece), "replies are the same however they are cut");
  // What goes with a bare LF is what came with it.
  const std::string lines = commands(text, piece);
  if (!has_bare_lf(text)) must(lines == commands(text, text.size() + 1), "lines are the same however they are cut");
  check_reply(smtp::format_reply(smtp::Reply(550, smtp::status::kNotAuthorized, std::string(text.substr(0, 5'000)))));
  check_reply(smtp::format_reply(smtp::Reply(250, smtp::status::kNone, std::string(text.substr(0, 5'000)))));
  return 0;
}
