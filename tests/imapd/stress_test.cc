// Many sessions on mailboxes that others make, rename, fill and delete at once: every command is answered, nobody is
// sent away, and all end with the same picture.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <vector>

#include "common/base/ascii.h"
#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

constexpr int kRounds = 60;
constexpr int kWatchers = 6;
constexpr int kChangers = 4;
constexpr int kVisitors = 3;

/// A client of a thread of its own; what goes wrong is written down, because a thread cannot stop a test.
class Actor {
 public:
  Actor(Transcript& t, unsigned seed, std::string_view user = "alice") : client_(t.port()), random_(seed) {
    client_.line();
    command(fmt::format("LOGIN {}@example.test secret", user));
  }

  /// Sends a command and reads up to its tagged answer, which it gives.
  std::string command(const std::string& text) {
    std::string tag = fmt::format("c{}", ++commands_);
    client_.send(tag + " " + text + "\r\n");
    return answer(tag + " ", text);
  }

  /// Waits until somebody did something or enough was waited for, which is the same to this test.
  void idle() {
    std::string tag = fmt::format("c{}", ++commands_);
    client_.send(tag + " IDLE\r\n");
    std::string line = client_.line();
    while (!line.starts_with("+ ") && !gone(line)) line = client_.line();
    client_.send("DONE\r\n");
    answer(tag + " ", "IDLE");
  }

  /// The subjects of a mailbox's messages.
  std::vector<std::string> subjects(const std::string& mailbox) {
    command("EXAMINE " + mailbox);
    client_.send("s FETCH 1:* ENVELOPE\r\n");
    std::vector<std::string> found;
    for (std::string line = client_.line(); !line.starts_with("s ") && !gone(line); line = client_.line()) {
      size_t begin = line.find("\"number ");
      if (begin != std::string::npos) found.push_back(line.substr(begin, line.find('"', begin + 1) - begin));
    }
    return found;
  }

  std::string mailbox() { return fmt::format("Shared{}", random_() % 4); }
  unsigned roll(unsigned sides) { return static_cast<unsigned>(random_() % sides); }
  const std::string& trouble() const { return trouble_; }

 private:
  static bool gone(std::string_view line) { return line == "(closed)" || line == "(nothing)"; }
  std::string answer(std::string_view tag, const std::string& text) {
    for (;;) {
      std::string line = client_.line();
      bool bad = gone(line) || line.starts_with("* BYE") || line.find("SERVERBUG") != std::string::npos ||
                 line.find("UNAVAILABLE") != std::string::npos || line.find(" BAD ") != std::string::npos;
      if (bad && trouble_.empty()) trouble_ = text + " -> " + line;
      if (gone(line) || line.starts_with(tag)) return line;
    }
  }

  Client client_;
  std::mt19937 random_;
  int commands_ = 0;
  std::string trouble_;
};

void watch(Actor& actor) {
  actor.command(actor.roll(4) == 0 ? "SELECT INBOX" : "SELECT " + actor.mailbox());
  actor.idle();
  if (actor.roll(2) == 0) actor.command("NOOP");
}

void change(Actor& actor) {
  std::string mailbox = actor.mailbox();
  switch (actor.roll(6)) {
    case 0:
      actor.command("DELETE " + mailbox);
      break;
    case 1:
      actor.command("RENAME " + mailbox + " " + actor.mailbox());
      break;
    case 2:
      actor.command("RENAME " + mailbox + " Other");
      actor.command("DELETE Other");
      break;
    case 3:
      actor.command("APPEND INBOX {3+}\r\nabc");
      break;
    default:
      actor.command("CREATE " + mailbox);
      actor.command("APPEND " + mailbox + " (\\Deleted) {3+}\r\nabc");
      break;
  }
}

void visit(Transcript& t, unsigned seed, std::string& trouble) {
  Actor actor(t, seed);
  actor.command("SELECT INBOX");
  actor.command("STATUS INBOX (MESSAGES)");
  if (actor.roll(2) == 0) actor.command("LOGOUT");
  if (trouble.empty() && !actor.trouble().ends_with("* BYE Until next time.")) trouble = actor.trouble();
}

TEST(Stress, ManySessionsOnMailboxesThatComeAndGo) {
  Transcript t;
  std::vector<std::thread> threads;
  std::vector<std::string> troubles(kWatchers + kChangers + kVisitors);
  auto begin = [&](int number, void (*act)(Actor&)) {
    threads.emplace_back([&t, &trouble = troubles[static_cast<size_t>(number)], number, act] {
      Actor actor(t, static_cast<unsigned>(number));
      for (int round = 0; round < kRounds && actor.trouble().empty(); ++round) act(actor);
      trouble = actor.trouble();
    });
  };
  for (int i = 0; i < kWatchers; ++i) begin(i, watch);
  for (int i = kWatchers; i < kWatchers + kChangers; ++i) begin(i, change);
  for (int i = kWatchers + kChangers; i < kWatchers + kChangers + kVisitors; ++i) {
    threads.emplace_back([&t, &trouble = troubles[static_cast<size_t>(i)], i] {
      for (int round = 0; round < kRounds / 3; ++round) visit(t, static_cast<unsigned>(i * kRounds + round), trouble);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& trouble : troubles) EXPECT_EQ(trouble, "");

  Actor one(t, 1), other(t, 2);
  EXPECT_TRUE(fits(one.command("SELECT INBOX"), "c... OK ..."));
  EXPECT_TRUE(fits(other.command("SELECT INBOX"), "c... OK ..."));
}

/// Two users move the same messages to and fro between their accounts: each is always in one of them, once.
TEST(Stress, MessagesThatMoveBetweenAccountsAreNeverLostNorDoubled) {
  constexpr int kMessages = 40, kMovers = 6, kMoves = 25;
  Transcript t;
  t.play(R"(
    A> a CREATE Pool
    A< a OK ...
    A> b SETACL Pool bob@example.test lrswite
    A< b OK ...
    b> a CREATE Pool
    b< a OK ...
    b> b SETACL Pool alice@example.test lrswite
    b< b OK ...
  )");
  for (int i = 0; i < kMessages; ++i)
    t.deliver_to(i % 2 == 0 ? t.account() : t.bob(), "Pool", fmt::format("Subject: number {}\r\n\r\nText\r\n", i));
  std::vector<std::thread> threads;
  std::vector<std::string> troubles(kMovers);
  for (int i = 0; i < kMovers; ++i) {
    threads.emplace_back([&t, &trouble = troubles[static_cast<size_t>(i)], i] {
      bool alice = i % 2 == 0;
      Actor actor(t, static_cast<unsigned>(i), alice ? "alice" : "bob");
      std::string own = "Pool";
      std::string other = alice ? "\"Other users/bob@example.test/Pool\"" : "\"Other users/alice@example.test/Pool\"";
      for (int round = 0; round < kMoves && actor.trouble().empty(); ++round) {
        bool there = actor.roll(2) == 0;
        actor.command("SELECT " + (there ? own : other));
        actor.command((actor.roll(2) == 0 ? "UID MOVE 1:* " : "UID MOVE * ") + (there ? other : own));
        if (actor.roll(4) == 0) actor.idle();
      }
      trouble = actor.trouble();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& trouble : troubles) EXPECT_EQ(trouble, "");
  Actor alice(t, 1), bob(t, 2, "bob");
  std::vector<std::string> all = alice.subjects("Pool");
  for (std::string& subject : bob.subjects("Pool")) all.push_back(std::move(subject));
  EXPECT_EQ(all.size(), static_cast<size_t>(kMessages));
  std::sort(all.begin(), all.end());
  EXPECT_TRUE(std::adjacent_find(all.begin(), all.end()) == all.end());
}

}  // namespace
}  // namespace postrider::imap
