#include "imapd/proto/framer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postrider::imap {
namespace {

using Event = Framer::Event;

/// What the framer says about input that arrives in the given pieces: one word an event, with the text.
std::vector<std::string> run(const std::vector<std::string>& pieces, FramerLimits limits) {
  Framer framer(limits);
  std::vector<std::string> said;
  std::string held;
  uint64_t message_left = 0;
  for (const std::string& piece : pieces) {
    held += piece;
    for (bool more = true; more;) {
      if (message_left > 0) {
        size_t count = std::min<size_t>(message_left, held.size());
        held.erase(0, count);
        message_left -= count;
        if (message_left > 0) break;
        framer.message_taken();
      }
      Framer::Step step = framer.next(held);
      held.erase(0, step.consumed);
      more = !held.empty();
      switch (step.event) {
        case Event::need_more:
          more = false;
          break;
        case Event::continuation:
          said.push_back("+");
          break;
        case Event::command:
          said.push_back("command " + std::string(framer.text()));
          break;
        case Event::line:
          said.push_back("line " + std::string(framer.text()));
          break;
        case Event::bad:
          said.push_back("bad " + std::string(framer.tag()));
          break;
        case Event::fatal:
          said.push_back("fatal " + std::string(framer.tag()));
          return said;
        case Event::message:
          said.push_back("message " + std::string(framer.text()) + std::to_string(framer.message().size));
          message_left = framer.message().size;
          if (message_left == 0) framer.message_taken();
          break;
      }
    }
  }
  return said;
}

/// Whole, octet by octet, and cut at every place: always the same.
std::vector<std::string> run_every_way(const std::string& input, FramerLimits limits = kLimitsAfterLogin) {
  auto whole = run({input}, limits);
  std::vector<std::string> octets;
  for (char c : input) octets.emplace_back(1, c);
  EXPECT_EQ(run(octets, limits), whole) << "octet by octet";
  for (size_t cut = 1; cut < input.size(); ++cut) {
    EXPECT_EQ(run({input.substr(0, cut), input.substr(cut)}, limits), whole) << "cut at " << cut;
  }
  return whole;
}

using Said = std::vector<std::string>;

TEST(Framer, GivesOneCommandALine) {
  EXPECT_EQ(run_every_way("a NOOP\r\nb LOGOUT\r\n"), (Said{"command a NOOP", "command b LOGOUT"}));
}

TEST(Framer, TakesABareLineFeedAsALineEnd) {
  EXPECT_EQ(run_every_way("a NOOP\n"), Said{"command a NOOP"});
}

TEST(Framer, WaitsForTheLineEnd) {
  EXPECT_EQ(run_every_way("a NOOP"), Said{});
}

TEST(Framer, AsksForASynchronisingLiteral) {
  EXPECT_EQ(run_every_way("a LOGIN {5}\r\nalice {6}\r\nsecret\r\n"),
            (Said{"+", "+", "command a LOGIN {5}\r\nalice {6}\r\nsecret"}));
}

TEST(Framer, TakesANonSynchronisingLiteralUnasked) {
  EXPECT_EQ(run_every_way("a LOGIN {5+}\r\nalice secret\r\n"), Said{"command a LOGIN {5+}\r\nalice secret"});
}

TEST(Framer, LeavesLineEndsInLiteralsAlone) {
  EXPECT_EQ(run_every_way("a X {7+}\r\n{9}\r\n\r\n\r\nb NOOP\r\n"),
            (Said{"command a X {7+}\r\n{9}\r\n\r\n", "command b NOOP"}));
}

TEST(Framer, TakesEmptyLiterals) {
  EXPECT_EQ(run_every_way("a X {0+}\r\n{0}\r\n\r\n"), (Said{"+", "command a X {0+}\r\n{0}\r\n"}));
}

TEST(Framer, TakesWhatIsNoLiteralHeadAsText) {
  for (std::string end : {"{-1}", "{}", "{+}", "{1x}", "{1++}", "5}"}) {
    EXPECT_EQ(run_every_way("a X " + end + "\r\n"), Said{"command a X " + end}) << end;
  }
}

TEST(Framer, AnnouncesTheMessageOfAnAppend) {
  EXPECT_EQ(run_every_way("a append Drafts (\\Seen) {12+}\r\nSubject: x\r\n\r\nb NOOP\r\n"),
            (Said{"message a append Drafts (\\Seen) 12", "command ", "command b NOOP"}));
}

TEST(Framer, CollectsTheMailboxOfAnAppendAndAnnouncesTheMessageOnly) {
  EXPECT_EQ(run_every_way("a APPEND {6+}\r\nDrafts {3+}\r\nabc\r\n"),
            (Said{"message a APPEND {6+}\r\nDrafts 3", "command "}));
}

TEST(Framer, AnnouncesFurtherMessages) {
  EXPECT_EQ(run_every_way("a APPEND X {1+}\r\na (\\Seen) {2+}\r\nbb\r\n"),
            (Said{"message a APPEND X 1", "message  (\\Seen) 2", "command "}));
}

TEST(Framer, AnnouncesAMessageOfAnySize) {
  EXPECT_EQ(run({"a APPEND X {18446744073709551615}\r\n"}, kLimitsAfterLogin),
            Said{"message a APPEND X 18446744073709551615"});
}

TEST(Framer, KnowsLiteral8) {
  EXPECT_EQ(run_every_way("a APPEND X ~{3+}\r\n\0\0\0\r\n"), Said{"message a APPEND X 3"});
}

TEST(Framer, RefusesALargeSynchronisingLiteralAndStaysInSync) {
  for (std::string size : {"65537", "4294967296", "99999999999", "99999999999999999999999"}) {
    EXPECT_EQ(run_every_way("a X {" + size + "}\r\nb NOOP\r\n"), (Said{"bad a", "command b NOOP"})) << size;
  }
}

TEST(Framer, GivesUpAfterALargeNonSynchronisingLiteral) {
  for (std::string size : {"65537", "4294967296", "99999999999999999999999"}) {
    EXPECT_EQ(run_every_way("a X {" + size + "+}\r\nb DELETE INBOX\r\n"), Said{"fatal a"}) << size;
  }
}

TEST(Framer, TakesLittleBeforeLogin) {
  EXPECT_EQ(run_every_way("a LOGIN {1025}\r\nb NOOP\r\n", kLimitsBeforeLogin), (Said{"bad a", "command b NOOP"}));
  EXPECT_EQ(run_every_way("a APPEND INBOX {2000}\r\n", kLimitsBeforeLogin), Said{"bad a"});
}

TEST(Framer, LimitsACommandOfManyLiterals) {
  FramerLimits limits{.line = 100, .literal = 10, .command = 40};
  std::string command = "a X";
  for (int i = 0; i < 5; ++i) command += " {8+}\r\n12345678";
  EXPECT_EQ(run_every_way(command, limits), Said{"fatal a"});
}

TEST(Framer, SkipsALineThatIsTooLong) {
  FramerLimits limits{.line = 20, .literal = 10, .command = 40};
  EXPECT_EQ(run_every_way("a NOOP " + std::string(50, 'x') + "\r\nb NOOP\r\n", limits),
            (Said{"bad a", "command b NOOP"}));
}

TEST(Framer, TakesALineAtTheLimit) {
  FramerLimits limits{.line = 6, .literal = 10, .command = 40};
  EXPECT_EQ(run_every_way("a NOOP\r\n", limits), Said{"command a NOOP"});
  EXPECT_EQ(run_every_way("a NOOPS\r\n", limits), Said{"bad a"});
}

TEST(Framer, GivesUpWhenASkippedLineEndsInANonSynchronisingLiteral) {
  FramerLimits limits{.line = 20, .literal = 10, .command = 40};
  EXPECT_EQ(run_every_way("a X " + std::string(50, 'x') + " {5+}\r\nb DEL\r\n", limits), Said{"fatal a"});
}

TEST(Framer, NamesNoTagWhereThereIsNone) {
  FramerLimits limits{.line = 20, .literal = 10, .command = 40};
  EXPECT_EQ(run_every_way("(\" " + std::string(50, 'x') + "\r\n", limits), Said{"bad *"});
}

TEST(Framer, GivesALineWhenOneIsExpected) {
  Framer framer;
  framer.expect_line();
  Framer::Step step = framer.next("DONE {5+}\r\na NOOP\r\n");
  EXPECT_EQ(step.event, Event::line);
  EXPECT_EQ(framer.text(), "DONE {5+}");
  EXPECT_EQ(framer.next("a NOOP\r\n").event, Event::command);
  EXPECT_EQ(framer.text(), "a NOOP");
}

TEST(Framer, KnowsWhenNothingIsUnderWay) {
  Framer framer;
  EXPECT_TRUE(framer.between_commands());
  framer.next("a NO");
  EXPECT_FALSE(framer.between_commands());
  framer.next("OP\r\n");
  EXPECT_TRUE(framer.between_commands());
}

}  // namespace
}  // namespace postrider::imap
