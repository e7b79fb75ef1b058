#include "store/directory.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "store/directory_service.h"
#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class DirectoryTest : public testing::Test {
 protected:
  AccountId add(std::string_view address) {
    auto account = directory_.add_account(address, password_);
    EXPECT_TRUE(account) << account.error().message;
    return account ? account->id : 0;
  }
  /// Addresses that mail for this one goes to.
  std::vector<std::string> goes_to(std::string_view local_part, std::string_view domain = "example.org") {
    std::vector<std::string> addresses;
    for (const Target& target : directory_.resolve(local_part, domain, "+").targets)
      addresses.push_back(target.address);
    return addresses;
  }
  RecipientKind kind_of(std::string_view local_part, std::string_view domain = "example.org") {
    return directory_.resolve(local_part, domain, "+").kind;
  }

  TempState state_;
  ManualClock clock_{1'000};
  Directory directory_{state_.path(), clock_};
  PasswordRecord password_{"$argon2id$x", std::string("\0salt", 5), 4096, std::string("\xff\0k", 3), "server"};
};

class DirectoryWithDomainTest : public DirectoryTest {
 protected:
  DirectoryWithDomainTest() { EXPECT_TRUE(directory_.add_domain("example.org")); }
};

TEST_F(DirectoryTest, MakesItsFileForTheGroupToo) {
  struct stat status {};
  ASSERT_EQ(::stat((state_.path() + "/directory.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660);
  ASSERT_EQ(::stat((state_.path() + "/run/directory.version").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660);
}

TEST_F(DirectoryTest, EveryHandleHasTheSameDecoyKeyAndEveryDirectoryItsOwn) {
  Directory again(state_.path(), clock_);
  EXPECT_EQ(again.decoy_key(), directory_.decoy_key());
  EXPECT_EQ(directory_.decoy_key().size(), 32u);
  TempState other;
  EXPECT_NE(Directory(other.path(), clock_).decoy_key(), directory_.decoy_key());
}

TEST_F(DirectoryTest, KeepsDomainsAsLowerCaseALabels) {
  ASSERT_TRUE(directory_.add_domain("Bücher.Example"));
  EXPECT_TRUE(directory_.has_domain("xn--bcher-kva.example"));
  EXPECT_FALSE(directory_.add_domain("xn--BCHER-kva.example")) << "it is the same domain";
}

TEST_F(DirectoryTest, RefusesWhatIsNoDomain) {
  EXPECT_FALSE(directory_.add_domain(""));
  EXPECT_FALSE(directory_.add_domain("a b"));
  EXPECT_FALSE(directory_.add_domain("[127.0.0.1]"));
}

TEST_F(DirectoryTest, AnAccountNeedsItsDomain) {
  auto account = directory_.add_account("alice@example.org", password_);
  ASSERT_FALSE(account);
  EXPECT_THAT(account.error().message, HasSubstr("mailctl domain add example.org"));
}

TEST_F(DirectoryWithDomainTest, AnAccountIsFoundInEverySpellingOfItsName) {
  add("Alice@Example.ORG");
  EXPECT_THAT(goes_to("ALICE", "EXAMPLE.org"), ElementsAre("alice@example.org"));
  EXPECT_FALSE(directory_.add_account("aLICE@example.org", password_)) << "it is there already";
}

TEST_F(DirectoryWithDomainTest, Utf8LocalPartsAreKept) {
  add("jürgen@example.org");
  EXPECT_THAT(goes_to("jürgen"), ElementsAre("jürgen@example.org"));
  EXPECT_EQ(kind_of("JÜRGEN"), RecipientKind::unknown_user) << "only ASCII is folded";
}

TEST_F(DirectoryWithDomainTest, AccountIdsAreNeverUsedAgain) {
  AccountId first = add("alice@example.org");
  ASSERT_TRUE(directory_.remove_account("alice@example.org"));
  EXPECT_GT(add("alice@example.org"), first);
}

TEST_F(DirectoryWithDomainTest, TheWholePasswordRecordComesBack) {
  add("alice@example.org");
  auto login = directory_.find_login("Alice@example.org", "");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->password, password_);
}

TEST_F(DirectoryWithDomainTest, AShortLoginNeedsADefaultDomain) {
  add("alice@example.org");
  EXPECT_FALSE(directory_.find_login("alice", ""));
  EXPECT_TRUE(directory_.find_login("alice", "example.org"));
}

TEST_F(DirectoryWithDomainTest, ADisabledAccountNeitherLogsInNorGetsMail) {
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_catch_all("example.org", "bob@example.net"));
  ASSERT_TRUE(directory_.set_enabled("alice@example.org", false));
  EXPECT_FALSE(directory_.find_login("alice@example.org", ""));
  EXPECT_EQ(kind_of("alice"), RecipientKind::unknown_user) << "and her mail is nobody else's";
  ASSERT_TRUE(directory_.set_enabled("alice@example.org", true));
  EXPECT_EQ(kind_of("alice"), RecipientKind::known);
}

TEST_F(DirectoryWithDomainTest, ADomainInUseIsNotRemoved) {
  add("alice@example.org");
  EXPECT_FALSE(directory_.remove_domain("example.org"));
  ASSERT_TRUE(directory_.remove_account("alice@example.org"));
  EXPECT_TRUE(directory_.remove_domain("example.org"));
  EXPECT_EQ(kind_of("alice"), RecipientKind::foreign_domain);
}

TEST_F(DirectoryWithDomainTest, ForeignDomainAndUnknownUserAreTwoThings) {
  EXPECT_EQ(kind_of("alice", "example.net"), RecipientKind::foreign_domain);
  EXPECT_EQ(kind_of("alice", "[127.0.0.1]"), RecipientKind::foreign_domain);
  EXPECT_EQ(kind_of("nobody"), RecipientKind::unknown_user);
}

TEST_F(DirectoryWithDomainTest, AnAliasLeadsToEveryTargetOnce) {
  AccountId alice = add("alice@example.org");
  ASSERT_TRUE(directory_.set_quota("alice@example.org", 5'000));
  ASSERT_TRUE(directory_.set_alias("team@example.org",
                                   {"alice@example.org", "Bob@Example.NET", "ALICE@example.org", "bob@example.net"}));
  Resolution team = directory_.resolve("team", "example.org", "");
  ASSERT_EQ(team.targets.size(), 2U);
  EXPECT_EQ(team.targets[0].account, alice);
  EXPECT_EQ(team.targets[0].quota, 5'000U);
  EXPECT_EQ(team.targets[1].account, 0);
  EXPECT_EQ(team.targets[1].address, "bob@example.net");
}

TEST_F(DirectoryWithDomainTest, AliasesLeadThroughOthers) {
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_alias("a@example.org", {"b@example.org"}));
  ASSERT_TRUE(directory_.set_alias("b@example.org", {"c@example.org"}));
  ASSERT_TRUE(directory_.set_alias("c@example.org", {"alice@example.org"}));
  EXPECT_THAT(goes_to("a"), ElementsAre("alice@example.org"));
}

TEST_F(DirectoryWithDomainTest, ARingOfAliasesIsCut) {
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_alias("a@example.org", {"b@example.org"}));
  ASSERT_TRUE(directory_.set_alias("b@example.org", {"a@example.org", "alice@example.org"}));
  EXPECT_THAT(goes_to("a"), ElementsAre("alice@example.org"));
  // A ring that leads to nobody is not made, and comes about when somebody goes.
  ASSERT_TRUE(directory_.remove_account("alice@example.org"));
  EXPECT_EQ(kind_of("a"), RecipientKind::unknown_user);
}

TEST_F(DirectoryWithDomainTest, AnAliasWinsOverItsAccountAndMayKeepACopy) {
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_alias("alice@example.org", {"alice@example.net"}));
  EXPECT_THAT(goes_to("alice"), ElementsAre("alice@example.net"));
  ASSERT_TRUE(directory_.set_alias("alice@example.org", {"alice@example.org", "alice@example.net"}));
  EXPECT_THAT(goes_to("alice"), ElementsAre("alice@example.org", "alice@example.net"));
}

TEST_F(DirectoryWithDomainTest, TooManyLevelsAreCut) {
  add("alice@example.org");
  for (int level = 0; level < 20; ++level) {
    ASSERT_TRUE(
        directory_.set_alias(fmt::format("a{}@example.org", level), {fmt::format("a{}@example.org", level + 1)}));
  }
  ASSERT_TRUE(directory_.set_alias("a20@example.org", {"alice@example.org"}));
  EXPECT_THAT(goes_to("a0"), IsEmpty());
  EXPECT_THAT(goes_to("a15"), ElementsAre("alice@example.org"));
}

TEST_F(DirectoryWithDomainTest, TooManyTargetsAreCut) {
  for (int group = 0; group < 3; ++group) {
    std::vector<std::string> targets;
    for (int i = 0; i < 500; ++i) targets.push_back(fmt::format("u{}-{}@example.net", group, i));
    ASSERT_TRUE(directory_.set_alias(fmt::format("g{}@example.org", group), targets));
  }
  ASSERT_TRUE(directory_.set_alias("all@example.org", {"g0@example.org", "g1@example.org", "g2@example.org"}));
  EXPECT_EQ(goes_to("all").size(), kMaxAliasTargets);
}

TEST_F(DirectoryWithDomainTest, ThePartAfterTheSeparatorIsFree) {
  add("alice@example.org");
  EXPECT_THAT(goes_to("alice+lists+asio"), ElementsAre("alice@example.org"));
  EXPECT_EQ(kind_of("+alice"), RecipientKind::unknown_user);
  EXPECT_THAT(directory_.resolve("alice-x", "example.org", "+-").targets.size(), 1U);
  EXPECT_EQ(directory_.resolve("alice+x", "example.org", "").kind, RecipientKind::unknown_user);
}

TEST_F(DirectoryWithDomainTest, TheWholeAddressWinsOverThePartBeforeTheSeparator) {
  add("alice@example.org");
  add("alice+lists@example.org");
  EXPECT_THAT(goes_to("alice+lists"), ElementsAre("alice+lists@example.org"));
  EXPECT_THAT(goes_to("alice+lists+asio"), ElementsAre("alice+lists@example.org"));
  EXPECT_THAT(goes_to("alice+other"), ElementsAre("alice@example.org"));
}

TEST_F(DirectoryWithDomainTest, PostmasterIsAlwaysThere) {
  EXPECT_EQ(kind_of("postmaster"), RecipientKind::unknown_user)
      << "with no account at all there is nobody to give it to";
  add("alice@example.org");
  add("bob@example.org");
  EXPECT_THAT(goes_to("Postmaster"), ElementsAre("alice@example.org"));
  EXPECT_THAT(goes_to("postmaster", ""), ElementsAre("alice@example.org")) << "RFC 5321 4.5.1: without a domain";
  ASSERT_TRUE(directory_.add_domain("empty.example"));
  EXPECT_THAT(goes_to("postmaster", "empty.example"), ElementsAre("alice@example.org"));
  ASSERT_TRUE(directory_.set_alias("postmaster@example.org", {"bob@example.org"}));
  EXPECT_THAT(goes_to("postmaster", ""), ElementsAre("bob@example.org"));
}

TEST_F(DirectoryWithDomainTest, ADisabledPostmasterIsReplaced) {
  add("postmaster@example.org");
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_enabled("postmaster@example.org", false));
  EXPECT_THAT(goes_to("postmaster"), ElementsAre("alice@example.org"));
}

TEST_F(DirectoryWithDomainTest, CatchAllGetsWhatNobodyElseDoes) {
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_catch_all("example.org", "alice@example.org"));
  EXPECT_THAT(goes_to("anything"), ElementsAre("alice@example.org"));
  ASSERT_TRUE(directory_.set_catch_all("example.org", ""));
  EXPECT_EQ(kind_of("anything"), RecipientKind::unknown_user);
}

TEST_F(DirectoryWithDomainTest, ACatchAllThatIsNotThereIsNoRing) {
  ASSERT_TRUE(directory_.set_catch_all("example.org", "gone@example.org"));
  EXPECT_EQ(kind_of("anything"), RecipientKind::unknown_user);
}

TEST_F(DirectoryWithDomainTest, OneSendsAsOneself) {
  AccountId alice = add("alice@example.org");
  AccountId bob = add("bob@example.org");
  ASSERT_TRUE(directory_.set_alias("sales@example.org", {"alice@example.org"}));
  ASSERT_TRUE(directory_.set_catch_all("example.org", "alice@example.org"));
  EXPECT_TRUE(directory_.may_send_as(alice, "Alice", "Example.org", "+"));
  EXPECT_TRUE(directory_.may_send_as(alice, "alice+shop", "example.org", "+"));
  EXPECT_TRUE(directory_.may_send_as(alice, "sales", "example.org", "+"));
  EXPECT_TRUE(directory_.may_send_as(alice, "sales+x", "example.org", "+"));
  EXPECT_FALSE(directory_.may_send_as(bob, "sales", "example.org", "+"));
  EXPECT_FALSE(directory_.may_send_as(bob, "alice", "example.org", "+"));
  EXPECT_FALSE(directory_.may_send_as(alice, "ceo", "example.org", "+")) << "a catch-all gives no right to send";
  EXPECT_FALSE(directory_.may_send_as(alice, "alice", "example.net", "+"));
}

TEST_F(DirectoryWithDomainTest, ListsWhatThereIs) {
  add("bob@example.org");
  add("alice@example.org");
  ASSERT_TRUE(directory_.set_alias("x@example.org", {"bob@example.org", "alice@example.org"}));
  ASSERT_EQ(directory_.domains().size(), 1U);
  EXPECT_EQ(directory_.domains()[0].accounts, 2U);
  ASSERT_EQ(directory_.accounts().size(), 2U);
  EXPECT_EQ(directory_.accounts()[0].address, "alice@example.org");
  ASSERT_EQ(directory_.aliases().size(), 1U);
  EXPECT_THAT(directory_.aliases()[0].targets, ElementsAre("bob@example.org", "alice@example.org"));
}

TEST_F(DirectoryWithDomainTest, VersionGrowsWithWhatWasChangedOnly) {
  int64_t before = directory_.version();
  EXPECT_FALSE(directory_.remove_alias("none@example.org"));
  EXPECT_EQ(directory_.version(), before);
  add("alice@example.org");
  EXPECT_GT(directory_.version(), before);
}

TEST_F(DirectoryWithDomainTest, AnotherHandleSeesAChangeAtOnce) {
  Directory other(state_.path(), clock_);
  DirectoryVersion version(state_.path());
  uint64_t before = version.load();
  int64_t version_before = directory_.version();
  ASSERT_TRUE(other.add_account("alice@example.org", password_));
  EXPECT_EQ(kind_of("alice"), RecipientKind::known);
  EXPECT_GT(version.load(), before);
  EXPECT_GT(directory_.version(), version_before);
}

TEST(DirectoryVersion, IsOddWhileAChangeIsCommitted) {
  TempState state;
  DirectoryVersion version(state.path());
  {
    DirectoryVersion::Change change(version);
    EXPECT_FALSE(DirectoryVersion::stands_still(version.load()));
  }
  EXPECT_TRUE(DirectoryVersion::stands_still(version.load()));
}

TEST(DirectoryVersion, TheLastOfTwoWritersMakesItEven) {
  TempState state;
  DirectoryVersion first(state.path());
  DirectoryVersion second(state.path());
  auto slow = std::make_unique<DirectoryVersion::Change>(first);
  auto last = std::make_unique<DirectoryVersion::Change>(second);
  slow.reset();
  EXPECT_FALSE(DirectoryVersion::stands_still(second.load()));
  last.reset();
  EXPECT_TRUE(DirectoryVersion::stands_still(first.load()));
}

TEST(DirectoryVersion, AWriterThatDiedIsSetRightByTheNextHandle) {
  TempState state;
  ManualClock clock(0);
  DirectoryVersion version(state.path());
  { Directory make_it(state.path(), clock); }
  alignas(DirectoryVersion::Change) std::byte memory[sizeof(DirectoryVersion::Change)];
  new (memory) DirectoryVersion::Change(version);
  ASSERT_FALSE(DirectoryVersion::stands_still(version.load()));
  Directory next(state.path(), clock);
  EXPECT_TRUE(DirectoryVersion::stands_still(version.load()));
}

TEST(DirectoryService, ServesManyThreads) {
  TempState state;
  ManualClock clock(0);
  DirectoryService service(state.path(), clock);
  ASSERT_TRUE(service.with([](Directory& directory) { return directory.add_domain("example.org"); }));
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n)
        right += service.with([](Directory& d) { return d.has_domain("example.org"); }) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST_F(DirectoryWithDomainTest, AliasesThatLeadInACircleAreNotMade) {
  EXPECT_TRUE(directory_.set_alias("a@example.org", {"b@example.org"}));
  const auto ring = directory_.set_alias("b@example.org", {"c@example.org", "a@example.org"});
  EXPECT_TRUE(ring);  // c may come yet
  EXPECT_TRUE(directory_.set_alias("c@example.org", {"x@elsewhere.example"}));
  const auto closed = directory_.set_alias("c@example.org", {"b@example.org"});
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("lead in a circle"));
  EXPECT_THAT(goes_to("a"), ElementsAre("x@elsewhere.example"));  // nothing was changed
  EXPECT_FALSE(directory_.set_alias("d@example.org", {"d@example.org"}));
  add("e@example.org");
  EXPECT_TRUE(directory_.set_alias("e@example.org", {"e@example.org"}));  // means the account
}

}  // namespace
}  // namespace postrider::store
