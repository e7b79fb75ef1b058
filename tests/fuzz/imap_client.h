// An IMAP client that keeps a mirror of the mailbox from what the server says alone, and holds the server to it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/fuzz/imap_grammar.h"
#include "tests/fuzz/imap_world.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/wire.h"

namespace postrider::fuzz {

/// The selected mailbox as the client knows it (RFC 9051 5.2, 5.5; RFC 7162 3.2).
class Mirror {
 public:
  void begin_select();
  void end_select(bool selected, bool inbox);
  /// Nobody can tell any more what is selected, until the next SELECT.
  void lose() { known_ = false; }
  void forget_flags();
  bool known() const { return known_; }

  /// numbers_stand: a command that uses numbers is under way, so that none may go.
  void apply(const Response& response, bool numbers_stand);
  /// After NOOP nothing is left to tell: the mirror of INBOX is what the store holds.
  void must_be(const std::vector<StoredMessage>& stored) const;
  bool is_inbox() const { return known_ && inbox_; }
  size_t size() const { return messages_.size(); }

 private:
  struct Message {
    store::Uid uid = 0;  // 0: not told yet
    std::optional<std::vector<std::string>> flags;
  };
  void exists(uint64_t count);
  void expunge(uint64_t number);
  void fetched(Message& message, const Item& attributes);
  void vanished(const std::string& set);
  void must_ascend() const;

  std::vector<Message> messages_;
  bool known_ = false, inbox_ = false, selecting_ = false;
};

class ImapClient {
 public:
  /// Reads the greeting.
  ImapClient();
  ~ImapClient();
  ImapClient(const ImapClient&) = delete;
  ImapClient& operator=(const ImapClient&) = delete;

  /// LOGIN, SELECT INBOX, and a look at what is in it.
  void log_in();
  /// The input line by line: each is a command without its tag, which is sent when the one before it was answered;
  /// where it announces literals their octets follow in the input. "!deliver", "!expunge 2" and "!flag 2" are what
  /// others do meanwhile. What the server asks for with "+" is the next line.
  void hold(Input input);
  /// The input as it is, in pieces; what comes has to be responses.
  void pour(Input input, size_t piece);
  /// Once more all that there is to know, compared with the store; then the connection ends.
  void finish();

 private:
  /// Sends one command and waits for its answer. rest: where literals and what "+" asks for come from. Gives the
  /// status; empty: the session has ended.
  std::string command(const std::string& line, Input& rest);
  std::optional<Response> next();
  std::optional<std::string> await_answer(Input& rest, const std::string& verb, bool for_literal);
  void act(std::string_view line);
  void take(const Response& response);
  void take_rest();
  void settle(const std::string& verb, const std::string& line, const std::string& status);

  ImapWorld& world_;
  Wire wire_;
  Mirror mirror_;
  std::string tag_;
  size_t commands_ = 0;
  bool numbers_stand_ = false, unsolicited_ = false, unseen_others_ = false, uid_only_ = false, over_ = false;
  bool goodbye_ = false;
};

}  // namespace postrider::fuzz
