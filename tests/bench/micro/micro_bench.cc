// What the code that touches each octet does in a second (scripts/bench --only micro).
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "common/base/base64.h"
#include "common/mail/address.h"
#include "common/mail/charset.h"
#include "common/mail/mime_index.h"
#include "common/smtp/command.h"
#include "common/smtp/dot_codec.h"
#include "imapd/proto/framer.h"
#include "imapd/proto/parser.h"
#include "store/message_source.h"
#include "store/trigrams.h"

namespace postrider {
namespace {

constexpr size_t kMaxLine = 1'000;
constexpr size_t kRead = 16 << 10;  // octets that a connection gives at once

/// Text as people write it: words of a small vocabulary, the same each run.
std::string text_of(size_t octets) {
  uint32_t random = 1;
  std::string text;
  for (size_t line = 0; text.size() < octets;) {
    random = random * 1'664'525 + 1'013'904'223;
    for (uint32_t word = random >> 8, letters = 2 + (random >> 29); letters-- > 0; word /= 19)
      text += static_cast<char>('a' + word % 19);
    bool ends = text.size() - line > 70;
    text += ends ? "\r\n" : " ";
    if (ends) line = text.size();
  }
  return text + "\r\n";
}

/// A message with a text, an HTML alternative and an attachment.
std::string message_of(size_t octets) {
  const std::string text = text_of(octets / 4);
  std::string message =
      "Received: from mx.example.net (mx.example.net [192.0.2.7]) by mail.example.org with ESMTPS id 4f2;\r\n"
      "\tMon, 2 Mar 2026 10:00:00 +0000\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n"
      "From: Alice Example <alice@example.net>\r\nTo: Bob <bob@example.org>, =?utf-8?Q?Ren=C3=A9?= <r@example.org>\r\n"
      "Message-ID: <1.2@example.net>\r\nSubject: Re: what was said\r\nReferences: <0.1@example.net>\r\n"
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n"
      "--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
      "--inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
  message += text + "--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>" + text + "</p>\r\n--inner--\r\n";
  message += "--outer\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n";
  std::string attachment = base64_encode(text + text);
  for (size_t at = 0; at < attachment.size(); at += 76) message += attachment.substr(at, 76) + "\r\n";
  return message + "--outer--\r\n";
}

void count(benchmark::State& state, size_t octets) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(octets));
}

void dot_decode(benchmark::State& state) {
  const std::string input = message_of(static_cast<size_t>(state.range(0))) + ".\r\n";
  std::string out;
  for (auto _ : state) {
    out.clear();
    smtp::DotDecoder decoder(kMaxLine);
    for (size_t at = 0; at < input.size(); at += kRead) decoder.feed(std::string_view(input).substr(at, kRead), out);
    benchmark::DoNotOptimize(out.data());
  }
  count(state, input.size());
}

void dot_encode(benchmark::State& state) {
  const std::string input = message_of(static_cast<size_t>(state.range(0)));
  std::string out;
  for (auto _ : state) {
    out.clear();
    smtp::DotEncoder encoder;
    encoder.feed(input, out);
    encoder.finish(out);
    benchmark::DoNotOptimize(out.data());
  }
  count(state, input.size());
}

void mime_index(benchmark::State& state) {
  const std::string input = message_of(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    MimeIndexer indexer;
    indexer.feed(input);
    benchmark::DoNotOptimize(indexer.finish());
  }
  count(state, input.size());
}

/// All that is done with a message before it goes into mailboxes: index, ENVELOPE, BODYSTRUCTURE, compression.
void prepare_message(benchmark::State& state) {
  const std::string input = message_of(static_cast<size_t>(state.range(0)));
  auto spool = std::make_shared<store::Spool>("/tmp");
  spool->append(input);
  for (auto _ : state) benchmark::DoNotOptimize(store::prepare_message(spool));
  count(state, input.size());
}

void base64_to(benchmark::State& state) {
  const std::string input = text_of(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(base64_encode(input));
  count(state, input.size());
}

void base64_from(benchmark::State& state) {
  const std::string input = base64_encode(text_of(static_cast<size_t>(state.range(0))));
  for (auto _ : state) benchmark::DoNotOptimize(base64_decode(input));
  count(state, input.size());
}

void fold_for_search(benchmark::State& state) {
  const std::string input = text_of(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(postrider::fold_for_search(input));
  count(state, input.size());
}

void trigrams(benchmark::State& state) {
  const std::string input = text_of(static_cast<size_t>(state.range(0)));
  store::TrigramSet set;
  std::string names;
  for (auto _ : state) {
    set.clear();
    names.clear();
    set.feed(input);
    set.append_names(names);
    benchmark::DoNotOptimize(names.data());
  }
  count(state, input.size());
}

void smtp_envelope(benchmark::State& state) {
  const std::string mail = "MAIL FROM:<alice.example+list@mail.example.net> SIZE=4096 BODY=8BITMIME";
  const std::string rcpt = "RCPT TO:<bob@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.org";
  for (auto _ : state) {
    benchmark::DoNotOptimize(smtp::parse_mail(smtp::split_command(mail).argument, false));
    benchmark::DoNotOptimize(smtp::parse_rcpt(smtp::split_command(rcpt).argument, false));
  }
  count(state, mail.size() + rcpt.size());
}

void imap_fetch_command(benchmark::State& state) {
  const std::string line =
      "a001 UID FETCH 1:200,300,402:500 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM TO CC "
      "SUBJECT "
      "DATE MESSAGE-ID REFERENCES CONTENT-TYPE)])\r\n";
  imap::Framer framer(imap::kLimitsAfterLogin);
  for (auto _ : state) {
    framer.next(line);
    imap::Cursor cursor(framer.text());
    std::string tag, verb;
    imap::FetchCommand command;
    if (!imap::parse_verb(cursor, tag, verb) || !imap::parse_fetch(cursor, command)) state.SkipWithError("not taken");
    benchmark::DoNotOptimize(command);
  }
  count(state, line.size());
}

constexpr int64_t kSmall = 4 << 10, kLarge = 1 << 20;
BENCHMARK(dot_decode)->Arg(kSmall)->Arg(kLarge);
BENCHMARK(dot_encode)->Arg(kSmall)->Arg(kLarge);
BENCHMARK(mime_index)->Arg(kSmall)->Arg(kLarge);
BENCHMARK(prepare_message)->Arg(kSmall);
BENCHMARK(base64_to)->Arg(kLarge);
BENCHMARK(base64_from)->Arg(kLarge);
BENCHMARK(fold_for_search)->Arg(kLarge);
BENCHMARK(trigrams)->Arg(kSmall);
BENCHMARK(smtp_envelope);
BENCHMARK(imap_fetch_command);

}  // namespace
}  // namespace postrider

BENCHMARK_MAIN();
