// SORT and THREAD (RFC 5256, 5267, 5957).
#include <gtest/gtest.h>

#include "imapd/base_subject.h"
#include "imapd/thread.h"
#include "tests/imapd/transcript.h"

namespace postrider::imap {
namespace {

std::string message(std::string_view from, std::string_view subject, std::string_view date,
                    std::string_view more = "") {
  return fmt::format("From: {}\r\nSubject: {}\r\nDate: {}\r\n{}\r\nx\r\n", from, subject, date, more);
}

TEST(Sort, PutsWhatIsNoLetterWhereTitleCaseHasIt) {
  Transcript t;
  for (std::string_view subject : {"a", "_", "B", "[x]"})
    t.deliver("INBOX", message("bob@example.test", subject, "Sun, 2 Feb 2025 10:00:00 +0000"));
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b SORT (SUBJECT) UTF-8 ALL
    A< * SORT 1 3 4 2
    A< b OK ...
  )");
}

TEST(Sort, PutsMessagesInOrder) {
  Transcript t;
  t.deliver("INBOX", message("Zoe <adam@example.test>", "Re: beta", "Mon, 3 Feb 2025 10:00:00 +0000"));
  t.deliver("INBOX", message("\"alice\" <zed@example.test>", "alpha", "Mon, 3 Feb 2025 10:00:00 +0200") + "longer\r\n");
  t.deliver("INBOX", message("bob@example.test", "=?utf-8?q?BETA?=", "Sun, 2 Feb 2025 10:00:00 +0000"));
  t.deliver("INBOX", message("", "", "nonsense"));
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b SORT (SUBJECT) UTF-8 ALL
    A< * SORT 4 2 1 3
    A< b OK ...
    A> c SORT (REVERSE SUBJECT DATE) UTF-8 ALL
    A< * SORT 3 1 2 4
    A< c OK ...
    A> d UID SORT (DATE) US-ASCII ALL
    A< * SORT 3 2 1 4
    A< d OK ...
    A> e SORT (FROM) UTF-8 ALL
    A< * SORT 4 1 3 2
    A< e OK ...
    A> f SORT (DISPLAYFROM) UTF-8 ALL
    A< * SORT 4 2 3 1
    A< f OK ...
    A> g SORT (REVERSE ARRIVAL) UTF-8 1:3
    A< * SORT 1 2 3
    A< g OK ...
    A> h SORT (REVERSE SIZE) UTF-8 ALL
    A< * SORT 2 ...
    A< h OK ...
    A> i SORT (CC TO DISPLAYTO) UTF-8 SUBJECT nothing
    A< * SORT
    A< i OK ...
    A> j SORT RETURN (MIN MAX COUNT ALL) (SUBJECT) UTF-8 ALL
    A< * ESEARCH (TAG "j") MIN 4 MAX 3 COUNT 4 ALL 4,2,1,3
    A< j OK ...
    A> k UID SORT RETURN (PARTIAL 2:3) (SUBJECT) UTF-8 ALL
    A< * ESEARCH (TAG "k") UID PARTIAL (2:3 2,1)
    A< k OK ...
    A> l SORT () UTF-8 ALL
    A< l BAD ...
    A> m SORT (NONSENSE) UTF-8 ALL
    A< m BAD ...
    A> n SORT (SUBJECT) X-NONE ALL
    A< n NO [BADCHARSET ...] ...
    A> o SORT (SUBJECT) ALL
    A< o BAD ...
  )");
}

TEST(Thread, IsToldByReferencesAndBySubject) {
  Transcript t;
  t.deliver("INBOX", message("a@x.test", "lunch", "Mon, 3 Feb 2025 10:00:00 +0000", "Message-ID: <1@x>\r\n"));
  t.deliver("INBOX", message("a@x.test", "Re: lunch", "Mon, 3 Feb 2025 11:00:00 +0000",
                             "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n"));
  t.deliver("INBOX", message("a@x.test", "Re: lunch", "Mon, 3 Feb 2025 12:00:00 +0000",
                             "Message-ID: <3@x>\r\nReferences: <1@x>\r\n"));
  t.deliver("INBOX", message("a@x.test", "other", "Mon, 3 Feb 2025 09:00:00 +0000", "Message-ID: <4@x>\r\n"));
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b THREAD REFERENCES UTF-8 ALL
    A< * THREAD (4)(1 (2)(3))
    A< b OK ...
    A> c UID THREAD ORDEREDSUBJECT UTF-8 ALL
    A< * THREAD (4)(1 (2)(3))
    A< c OK ...
    A> d THREAD REFERENCES UTF-8 1,2
    A< * THREAD (1 2)
    A< d OK ...
    A> e THREAD REFERENCES UTF-8 SUBJECT nothing
    A< * THREAD
    A< e OK ...
    A> f THREAD NONSENSE UTF-8 ALL
    A< f NO [CANNOT] ...
    A> g THREAD REFERENCES
    A< g BAD ...
  )");
}

ThreadMessage at(uint32_t number, std::string id, std::vector<std::string> references, std::string_view subject = "") {
  ThreadMessage message;
  message.number = number;
  message.sent = number;
  message.id = std::move(id);
  message.references = std::move(references);
  message.subject = base_subject(subject);
  return message;
}

TEST(Thread, KeepsThePlaceOfMessagesThatAreNotThere) {
  EXPECT_EQ(thread_by_references({at(1, "b", {"a"}), at(2, "c", {"a"})}), "((1)(2))");
  EXPECT_EQ(thread_by_references({at(1, "c", {"a", "b"})}), "(1)");
  EXPECT_EQ(thread_by_references({at(1, "a", {}), at(2, "d", {"a", "b", "c"}), at(3, "e", {"a", "b"})}), "(1 (2)(3))");
}

TEST(Thread, EndsInCircles) {
  EXPECT_EQ(thread_by_references({at(1, "a", {"b"}), at(2, "b", {"a"})}), "(2 1)");
  EXPECT_EQ(thread_by_references({at(1, "a", {"a"})}), "(1)");
  EXPECT_EQ(thread_by_references({at(1, "a", {}), at(2, "a", {}), at(3, "", {"a"})}), "(1 3)(2)");
}

TEST(Thread, JoinsWhatHasTheSameSubject) {
  EXPECT_EQ(thread_by_references({at(1, "a", {}, "x"), at(2, "b", {}, "Re: x")}), "(1 2)");
  EXPECT_EQ(thread_by_references({at(1, "a", {}, "Re: x"), at(2, "b", {}, "x")}), "(2 1)");
  EXPECT_EQ(thread_by_references({at(1, "a", {}, "x"), at(2, "b", {}, "x")}), "((1)(2))");
  EXPECT_EQ(thread_by_references({at(1, "a", {}, "x"), at(2, "b", {}, "x"), at(3, "c", {}, "x")}), "((1)(2)(3))");
  EXPECT_EQ(thread_by_references({at(1, "a", {"z"}, "x"), at(2, "b", {"z"}, "x"), at(3, "c", {}, "Re: x")}),
            "((1)(2)(3))");
}

TEST(Thread, BearsALongChain) {
  std::vector<ThreadMessage> messages;
  for (uint32_t i = 1; i <= 20'000; ++i)
    messages.push_back(
        at(i, std::to_string(i), i == 1 ? std::vector<std::string>{} : std::vector{std::to_string(i - 1)}));
  std::string threads = thread_by_references(messages);
  EXPECT_TRUE(threads.starts_with("(1 2 3 4 ")) << threads.substr(0, 50);
}

TEST(Thread, ReadsReferences) {
  EXPECT_EQ(parse_references("<a@x> junk <b@x>\t<c", ""), (std::vector<std::string>{"a@x", "b@x"}));
  EXPECT_EQ(parse_references("none", "see <d@x>"), std::vector<std::string>{"d@x"});
  EXPECT_EQ(parse_references("<>", "<"), std::vector<std::string>{});
  std::string many;
  for (int i = 0; i < 1'000; ++i) many += fmt::format("<{}>", i);
  EXPECT_EQ(parse_references(many, "").size(), kMaxReferences);
  EXPECT_EQ(parse_references(many, "").back(), "999");
}

struct SubjectCase {
  const char* subject;
  const char* base;
  bool reply;
};
constexpr SubjectCase kSubjects[] = {
    {"lunch", "lunch", false},
    {"Re: lunch", "lunch", true},
    {"RE [2]: Fwd:  lunch  today (fwd)", "lunch today", true},
    {"[list] lunch", "lunch", false},
    {"[list] Re: [list] lunch", "lunch", true},
    {"[list]", "[list]", false},
    {"Re: [list]", "[list]", true},
    {"[Fwd: Re: lunch]", "lunch", true},
    {"Really: x", "Really: x", false},
    {"fw: x", "x", true},
    {"re", "re", false},
    {"re:", "", true},
    {"[a[b] x", "[a[b] x", false},
    {"=?utf-8?q?Re=3A_caf=C3=A9?=", "caf\xc3\xa9", true},
    {"", "", false},
};

TEST(BaseSubject, TakesMarksOff) {
  for (const SubjectCase& c : kSubjects) {
    BaseSubject base = base_subject(c.subject);
    EXPECT_EQ(base.text, c.base) << c.subject;
    EXPECT_EQ(base.reply_or_forward, c.reply) << c.subject;
  }
}

TEST(Progress, IsToldOfALongSearch) {
  Transcript t;
  for (int i = 0; i < 5; ++i) t.deliver("INBOX", message("a@x.test", "s", "") + std::string(400'000, 'x'));
  t.service().services().progress_every = std::chrono::milliseconds(0);
  t.play(R"(
    A> a SELECT INBOX
    A<* a OK ...
    A> b SEARCH BODY nothing
    A< * OK [INPROGRESS ("b" ... 5)] ...
    A<* * SEARCH
    A< b OK ...
  )");
}

}  // namespace
}  // namespace postrider::imap
