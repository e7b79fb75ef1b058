// The search index: what it names, what it may leave out, and how it stays right.
#include "store/search_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_state.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::string names_of(std::string_view text) {
  TrigramSet set;
  set.feed(text);
  std::string names;
  set.append_names(names);
  return names;
}

TEST(Trigrams, AreThoseOfTheTextAndEachOnce) {
  EXPECT_EQ(names_of("ab"), "");
  EXPECT_EQ(names_of("abab"), required_trigrams("aba").at(0) + ' ' + required_trigrams("bab").at(0) + ' ');
}

TEST(Trigrams, ReachOverPiecesButNotOverTexts) {
  TrigramSet set;
  set.feed("a");
  set.feed("b");
  set.begin_text();
  set.feed("c");
  EXPECT_TRUE(set.empty());
  set.feed("de");
  std::string names;
  set.append_names(names);
  EXPECT_EQ(names, names_of("cde"));
}

TEST(Trigrams, RequiredOnesAreInEveryTextThatHoldsTheString) {
  for (size_t size = 3; size < 100; ++size) {
    std::string needle;
    for (size_t i = 0; i < size; ++i) needle += static_cast<char>(i * 37 + size);
    const std::string names = names_of("before " + needle + " after");
    for (const std::string& name : required_trigrams(needle)) EXPECT_NE(names.find(name), std::string::npos) << size;
    EXPECT_LE(required_trigrams(needle).size(), 8U);
  }
  EXPECT_THAT(required_trigrams("ab"), IsEmpty());
}

TEST(Trigrams, TooManyStandForAll) {
  TrigramSet set;
  for (uint32_t i = 0; i < 300'000 && !set.overflowed(); ++i) {
    const std::string one = {static_cast<char>(i >> 16), static_cast<char>(i >> 8), static_cast<char>(i)};
    set.begin_text();
    set.feed(one);
  }
  std::string names;
  set.append_names(names);
  EXPECT_EQ(names, kEveryName);
  set.clear();
  set.feed("abc");
  names.clear();
  set.append_names(names);
  EXPECT_EQ(names, names_of("abc"));
}

class SearchIndexTest : public testing::Test {
 protected:
  SearchIndexTest() : account(state.file("1.db"), 1, OpenMode::create, clock), index(account) {
    inbox = account.find_mailbox("INBOX")->id;
  }
  /// Gives its id; ids count from 1.
  void append(std::string_view subject) {
    Edit edit(account);
    edit.append(inbox, state.message(simple_message(subject)), {}, {}, 1'000, 0, 0).value();
    edit.commit();
  }
  bool fill() {
    return index.fill(trigrams, [&](const MessageRow& row, TrigramSet& into) {
      ++read;
      into.begin_text();
      into.feed(row.head);
    });
  }
  void expunge_all() {
    Edit edit(account);
    edit.remove(inbox, {{1, UINT32_MAX}});
    edit.commit();
    clock.advance(std::chrono::hours(24));
    account.maintain({clock.unix_time(), 0});
  }

  TempState state;
  ManualClock clock{1'700'000'000};
  Account account;
  SearchIndex index;
  TrigramSet trigrams;
  MailboxId inbox = 0;
  size_t read = 0;
};

TEST_F(SearchIndexTest, NamesWhatMayHoldAText) {
  append("quokka");
  append("zebrafish");
  append("quokkas and zebrafish");
  EXPECT_FALSE(index.candidates("quokka"));  // nothing is in it
  while (fill()) {
  }
  EXPECT_THAT(index.candidates("quokka")->messages, ElementsAre(1, 3));
  EXPECT_THAT(index.candidates("zebrafish")->messages, ElementsAre(2, 3));
  EXPECT_THAT(index.candidates("wallaby")->messages, IsEmpty());
  EXPECT_FALSE(index.candidates("qu"));  // too short to tell
  EXPECT_EQ(read, 3U);
}

TEST_F(SearchIndexTest, OneThatIsDamagedIsMadeAnewAndHarmsNothingElse) {
  append("quokka");
  while (fill()) {
  }
  {
    Database beneath(state.file("1.db"), OpenMode::must_exist, Sync::normal);
    beneath.execute("UPDATE search_data SET block = x'00' WHERE id > 10");
  }
  Account other(state.file("1.db"), 1, OpenMode::must_exist, clock);
  EXPECT_FALSE(SearchIndex(other).candidates("quokka")) << "every message may hold it";
  EXPECT_FALSE(other.damaged());
  while (fill()) {
  }
  EXPECT_THAT(SearchIndex(other).candidates("quokka")->messages, ElementsAre(1));
}

TEST_F(SearchIndexTest, WhatIsNotInItYetMayHoldAnything) {
  append("quokka");
  while (fill()) {
  }
  append("zebrafish");
  auto found = index.candidates("quokka");
  EXPECT_TRUE(found->may_hold(1));
  EXPECT_TRUE(found->may_hold(2));
  while (fill()) {
  }
  EXPECT_FALSE(index.candidates("quokka")->may_hold(2));
  EXPECT_EQ(read, 2U);  // each message once
}

TEST_F(SearchIndexTest, CopiesAreInItOnceAndStayWhenTheOriginalGoes) {
  append("quokka");
  Edit edit(account);
  MailboxId box = edit.create_mailbox("Box", "").value();
  edit.copy(inbox, {{1, 1}}, box, 0).value();
  edit.commit();
  while (fill()) {
  }
  expunge_all();
  EXPECT_EQ(read, 1U);
  EXPECT_THAT(index.candidates("quokka")->messages, ElementsAre(1));
}

TEST_F(SearchIndexTest, BeginsAnewWhenMostOfItIsGone) {
  for (int i = 0; i < 1'100; ++i) append("quokka");
  while (fill()) {
  }
  EXPECT_FALSE(index.drop_if_worn());
  expunge_all();
  EXPECT_THAT(index.candidates("quokka")->messages, SizeIs(1'100));  // harmless, but in the way
  append("quokka");
  EXPECT_TRUE(index.drop_if_worn());
  EXPECT_FALSE(index.candidates("quokka"));
  while (fill()) {
  }
  EXPECT_THAT(index.candidates("quokka")->messages, ElementsAre(1'101));
}

TEST_F(SearchIndexTest, IsEmptiedWhereItIsNotWanted) {
  append("quokka");
  EXPECT_FALSE(index.drop());
  while (fill()) {
  }
  EXPECT_TRUE(index.drop());
  EXPECT_FALSE(index.candidates("quokka"));
  EXPECT_FALSE(index.drop());
}

}  // namespace
}  // namespace postrider::store
