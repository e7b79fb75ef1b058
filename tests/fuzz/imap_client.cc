#include "tests/fuzz/imap_client.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/number.h"
#include "imapd/session.h"

namespace postrider::fuzz {
namespace {

constexpr uint64_t kMaxOctets = 100'000;  // of a literal that is sent
constexpr size_t kMaxCommands = 100;
constexpr int kMaxContinuations = 20;

asio::awaitable<void> run_session(imap::Services& services, std::shared_ptr<net::Connection> connection) {
  imap::Session session(services, std::move(connection), 0);
  co_await session.run(false);
}

struct Announced {
  uint64_t size = 0;
  bool waits = true;  // for "+"
};

/// The literal that a line ends with.
std::optional<Announced> literal_of(std::string_view line) {
  if (!line.ends_with('}')) return std::nullopt;
  const size_t open = line.rfind('{');
  if (open == std::string_view::npos) return std::nullopt;
  std::string_view digits = line.substr(open + 1, line.size() - open - 2);
  Announced announced;
  if (digits.ends_with('+')) {
    announced.waits = false;
    digits.remove_suffix(1);
  }
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
  announced.size = parse_number<uint64_t>(digits).value_or(UINT64_MAX);
  return announced;
}

std::string first_word(std::string_view line) {
  return upper(line.substr(0, line.find(' ')));
}

bool uses_numbers(const std::string& verb) {
  return verb == "FETCH" || verb == "STORE" || verb == "SEARCH" || verb == "SORT" || verb == "THREAD";
}

std::vector<std::string> flags_of(const Item& list) {
  must(list.kind == Item::Kind::list, "flags are a list");
  std::vector<std::string> flags;
  for (const Item& item : list.items) {
    const std::string flag = lower(item.text);
    must(item.kind == Item::Kind::atom, "a flag is an atom");
    if (flag != "\\recent") flags.push_back(flag);
  }
  std::sort(flags.begin(), flags.end());
  must(std::adjacent_find(flags.begin(), flags.end()) == flags.end(), "a flag is told once");
  return flags;
}

}  // namespace

// --- the mirror

void Mirror::begin_select() {
  selecting_ = true;
  known_ = false;
  messages_.clear();
}

void Mirror::end_select(bool selected, bool inbox) {
  selecting_ = false;
  known_ = selected;
  inbox_ = inbox;
  if (!selected) messages_.clear();
}

void Mirror::forget_flags() {
  for (Message& message : messages_) message.flags.reset();
}

void Mirror::exists(uint64_t count) {
  must(selecting_ || count >= messages_.size(), "EXISTS takes nothing away");
  must(count < 100'000, "a mailbox of this size");
  messages_.resize(count);
}

void Mirror::expunge(uint64_t number) {
  must(number >= 1 && number <= messages_.size(), "EXPUNGE names a message that is there");
  messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(number) - 1);
}

void Mirror::must_ascend() const {
  store::Uid last = 0;
  for (const Message& message : messages_) {
    if (message.uid == 0) continue;
    must(message.uid > last, "UIDs ascend");
    last = message.uid;
  }
}

void Mirror::fetched(Message& message, const Item& attributes) {
  must(attributes.kind == Item::Kind::list, "FETCH tells a list");
  for (size_t i = 0; i + 1 < attributes.items.size(); i += 2) {
    const Item &name = attributes.items[i], &value = attributes.items[i + 1];
    if (name.text == "UID") {
      const auto uid = value.number();
      must(uid && *uid != 0 && (message.uid == 0 || message.uid == *uid), "a message keeps its UID");
      message.uid = static_cast<store::Uid>(*uid);
    } else if (name.text == "FLAGS") {
      message.flags = flags_of(value);
    }
  }
  must_ascend();
}

void Mirror::vanished(const std::string& set) {
  for (const store::UidRange& range : store::parse_ranges(set)) {
    // Those that are there without their UID being told may be among them.
    if (std::any_of(messages_.begin(), messages_.end(), [](const Message& one) { return one.uid == 0; }))
      known_ = false;
    std::erase_if(messages_, [&](const Message& one) { return one.uid >= range.first && one.uid <= range.last; });
  }
}

void Mirror::apply(const Response& response, bool numbers_stand) {
  if (response.kind != Response::Kind::untagged) return;
  if (response.status == "OK" && response.code == "CLOSED") {
    if (!selecting_) known_ = false;
    messages_.clear();
    return;
  }
  if ((!known_ && !selecting_) || response.items.size() < 2) return;
  const std::string& word = response.items[1].text;
  if (const auto number = response.items[0].number()) {
    if (word == "EXISTS") exists(*number);
    if (word == "EXPUNGE") {
      must(!numbers_stand, "numbers stand still under a command that uses them");
      if (!selecting_) expunge(*number);
    }
    if (word == "FETCH") {
      must(*number >= 1 && *number <= messages_.size() && response.items.size() == 3, "FETCH tells of a message");
      fetched(messages_[*number - 1], response.items[2]);
    }
    if (word == "UIDFETCH") {
      must(response.items.size() == 3, "UIDFETCH tells of a message");
      for (Message& message : messages_) {
        if (message.uid == *number) fetched(message, response.items[2]);
      }
    }
  } else if (response.items[0].text == "VANISHED" && response.items[1].kind == Item::Kind::atom && !selecting_) {
    must(!numbers_stand, "numbers stand still under a command that uses them");
    vanished(response.items[1].text);
  } else if (response.items[0].text == "SEARCH") {
    for (size_t i = 1; i < response.items.size(); ++i) {
      must(response.items[i].kind == Item::Kind::list || response.items[i].number().value_or(0) != 0,
           "a number is found");
    }
  }
}

void Mirror::must_be(const std::vector<StoredMessage>& stored) const {
  must(messages_.size() == stored.size(), "as many messages as the store has");
  for (size_t i = 0; i < stored.size(); ++i) {
    must(messages_[i].uid == 0 || messages_[i].uid == stored[i].uid, "the messages that the store has");
    must(!messages_[i].flags || *messages_[i].flags == stored[i].flags, "the flags that the store has");
  }
}

// --- the client

ImapClient::ImapClient() : world_(ImapWorld::instance()) {
  world_.begin(wire_.loop);
  wire_.spawn(run_session(world_.services(), wire_.connection()));
  const auto greeting = next();
  must(greeting && greeting->status == "OK", "a greeting");
}

ImapClient::~ImapClient() {
  world_.end();
}

std::optional<Response> ImapClient::next() {
  for (;;) {
    std::string_view stream = wire_.received();
    if (auto response = take_response(stream)) {
      wire_.take(wire_.received().size() - stream.size());
      return response;
    }
    if (wire_.ended()) {
      must(wire_.received().empty(), "the last response is whole");
      over_ = true;
      return std::nullopt;
    }
    wire_.wait();
  }
}

void ImapClient::take(const Response& response) {
  must(response.status != "PREAUTH", "nobody is logged in already");
  must(response.text.find("was written down") == std::string::npos, "no session fails");
  must(response.code != "UNAVAILABLE", "no command fails");
  if (response.status == "BYE") goodbye_ = true;
  mirror_.apply(response, numbers_stand_);
}

/// What came without being asked for: nothing, unless NOTIFY is on.
void ImapClient::take_rest() {
  wire_.run();
  for (std::string_view stream = wire_.received(); !stream.empty(); stream = wire_.received()) {
    const auto response = take_response(stream);
    must(response.has_value(), "a response is sent as a whole");
    wire_.take(wire_.received().size() - stream.size());
    must(response->kind == Response::Kind::untagged, "an answer that nobody asked for");
    must(unsolicited_ || response->status == "BYE", "the server speaks when it is spoken to");
    take(*response);
  }
}

void ImapClient::act(std::string_view line) {
  const size_t position = line.empty() || !is_digit(line.back()) ? 0 : static_cast<size_t>(line.back() - '0');
  if (line.starts_with("!deliver")) world_.deliver();
  if (line.starts_with("!expunge")) world_.expunge(position);
  if (line.starts_with("!flag")) world_.flag(position);
  wire_.run();
}

/// Up to the answer, or to a "+" where a literal waits for it. Nothing: "+". Empty: the session has ended.
std::optional<std::string> ImapClient::await_answer(Input& rest, const std::string& verb, bool for_literal) {
  for (int continuations = 0;;) {
    const auto response = next();
    if (!response) return "";
    if (response->kind == Response::Kind::tagged) {
      must(response->tag == tag_, "the answer to this command");
      take(*response);
      return response->status;
    }
    if (response->kind == Response::Kind::untagged) {
      take(*response);
      continue;
    }
    if (for_literal) return std::nullopt;
    must(++continuations <= kMaxContinuations, "a server asks for an end");
    while (verb == "IDLE" && rest.rest().starts_with('!')) {
      act(rest.line());
      for (std::string_view stream = wire_.received(); !stream.empty(); stream = wire_.received()) {
        const auto news = take_response(stream);
        must(news && news->kind == Response::Kind::untagged, "IDLE tells news");
        wire_.take(wire_.received().size() - stream.size());
        take(*news);
      }
    }
    const std::string line = rest.at_end() ? (verb == "IDLE" ? "DONE" : "*") : std::string(rest.line());
    wire_.send(line + "\r\n");
  }
}

std::string ImapClient::command(const std::string& line, Input& rest) {
  const std::string verb = first_word(line);
  tag_ = "t" + std::to_string(++commands_);
  numbers_stand_ = uses_numbers(verb);
  if (verb == "SELECT" || verb == "EXAMINE") mirror_.begin_select();
  std::string whole = line, text = tag_ + " " + line;
  std::optional<std::string> status;
  while (const auto literal = literal_of(text)) {
    if (literal->size > kMaxOctets) {
      wire_.send(text + "\r\n");
      over_ = true;  // it is refused, or goes on for longer than there is input
      return "";
    }
    std::string octets(rest.take(static_cast<size_t>(literal->size)));
    octets.resize(static_cast<size_t>(literal->size), 'x');
    wire_.send(text + "\r\n");
    if (literal->waits) status = await_answer(rest, verb, true);
    if (status) break;
    wire_.send(octets);
    text = rest.line();
    whole += octets + text;
  }
  if (!status) {
    wire_.send(text + "\r\n");
    status = await_answer(rest, verb, false);
  }
  numbers_stand_ = false;
  if (status->empty()) {
    must(goodbye_, "a session that ends says so");
  } else {
    settle(verb, whole, *status);
    take_rest();
    over_ = over_ || goodbye_;
  }
  return *status;
}

/// What the answer means for what is known.
void ImapClient::settle(const std::string& verb, const std::string& line, const std::string& status) {
  const std::string all = upper(line);
  if (verb == "SELECT" || verb == "EXAMINE") mirror_.end_select(status == "OK", all == "SELECT INBOX");
  if (status != "OK") return;
  if (verb == "CLOSE" || verb == "UNSELECT" || verb == "LOGOUT" || verb == "UNAUTHENTICATE") mirror_.lose();
  if (verb == "UNAUTHENTICATE") unsolicited_ = unseen_others_ = uid_only_ = false;
  if (verb == "NOTIFY") unsolicited_ = unseen_others_ = true;
  if (verb == "ENABLE" && all.find("UIDONLY") != std::string::npos) uid_only_ = true;
  if (all.find(".SILENT") != std::string::npos) mirror_.forget_flags();
}

void ImapClient::log_in() {
  Input nothing(nullptr, 0);
  must(command("LOGIN alice@example.test secret", nothing) == "OK", "LOGIN");
  must(command("SELECT INBOX", nothing) == "OK", "SELECT");
  must(command("FETCH 1:* (UID FLAGS)", nothing) == "OK", "FETCH");
  mirror_.must_be(world_.inbox());
}

void ImapClient::hold(Input input) {
  while (!input.at_end() && !over_ && commands_ < kMaxCommands) {
    const std::string line(input.line());
    if (line.starts_with('!')) {
      act(line);
      take_rest();
    } else if (first_word(line) != "COMPRESS") {
      command(line, input);
    }
  }
}

void ImapClient::pour(Input input, size_t piece) {
  const bool readable = upper(input.rest()).find("COMPRESS") == std::string::npos;
  while (!input.at_end() && !wire_.ended()) wire_.send(input.take(piece));
  wire_.hang_up();
  over_ = true;
  if (!readable) return;
  for (std::string_view stream = wire_.received(); !stream.empty();) {
    must(take_response(stream).has_value(), "responses are whole");
  }
}

void ImapClient::finish() {
  Input nothing(nullptr, 0);
  if (!over_ && mirror_.known() && !unseen_others_) {
    must(command("NOOP", nothing) == "OK", "NOOP");
    if (mirror_.is_inbox()) mirror_.must_be(world_.inbox());
    if (mirror_.known() && !uid_only_ && mirror_.size() > 0) {
      must(command("FETCH 1:* (UID FLAGS)", nothing) == "OK", "FETCH");
      if (mirror_.is_inbox()) mirror_.must_be(world_.inbox());
    }
  }
  wire_.hang_up();
}

}  // namespace postrider::fuzz
