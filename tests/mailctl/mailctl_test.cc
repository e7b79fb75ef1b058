// mailctl as its users see it: arguments and standard input in; output, messages and exit status out.
#include "common/config/load.h"
#include "mailctl/help.h"
#include "tests/mailctl/mailctl_fixture.h"

namespace postrider::mailctl {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(MailctlTest, ADomainIsAddedListedAndRemoved) {
  done({"domain", "add", "Example.TEST"});
  EXPECT_EQ(json({"domain", "list"})[0]["domain"], "example.test");
  done({"domain", "remove", "example.test"});
  EXPECT_TRUE(json({"domain", "list"}).empty());
}

TEST_F(MailctlTest, ADomainWithAccountsIsNotRemoved) {
  add_alice();
  EXPECT_NE(refused({"domain", "remove", "example.test"}), "");
  EXPECT_EQ(json({"domain", "list"}).size(), 1U);
}

TEST_F(MailctlTest, RightsAreGivenListedAndTakenAway) {
  add_alice();
  done({"account", "add", "--generate", "bob@example.test"});
  done({"rights", "set", "alice@example.test", "Sent", "bob@example.test", "lrd"});
  done({"rights", "set", "alice@example.test", "Sent", "anyone", "l"});
  done({"rights", "set", "alice@example.test", "Sent", "--", "-bob@example.test", "e"});
  auto rows = json({"rights", "list", "alice@example.test"});
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["who"], "anyone");
  EXPECT_EQ(rows[1]["rights"], "lrted");
  EXPECT_EQ(rows[2]["who"], "-bob@example.test");
  done({"rights", "remove", "alice@example.test", "Sent", "bob@example.test"});
  EXPECT_EQ(json({"rights", "list", "alice@example.test"}).size(), 2U);
  EXPECT_NE(refused({"rights", "set", "alice@example.test", "Nowhere", "anyone", "l"}), "");
  EXPECT_NE(refused({"rights", "set", "alice@example.test", "Sent", "anyone", "q"}), "");
  EXPECT_NE(refused({"rights", "set", "alice@example.test", "Sent", "alice@example.test", "l"}), "");
}

TEST_F(MailctlTest, ACatchAllIsSetAndTakenAway) {
  add_alice();
  done({"domain", "catch-all", "example.test", "alice@example.test"});
  EXPECT_EQ(json({"domain", "list"})[0]["catch_all"], "alice@example.test");
  done({"domain", "catch-all", "--none", "example.test"});
  EXPECT_EQ(json({"domain", "list"})[0]["catch_all"], nullptr);
}

TEST_F(MailctlTest, AnAccountLogsInWithThePasswordThatWasGiven) {
  add_alice();
  EXPECT_TRUE(logs_in("alice@example.test", "wonderland 7"));
  EXPECT_FALSE(logs_in("alice@example.test", "wonderland 8"));
}

TEST_F(MailctlTest, AGeneratedPasswordIsPrintedAndFits) {
  done({"domain", "add", "example.test"});
  const auto made = json({"account", "add", "--generate", "bob@example.test"});
  const std::string password = made["password"];
  EXPECT_GE(password.size(), 20U);
  EXPECT_TRUE(logs_in("bob@example.test", password));
}

TEST_F(MailctlTest, AGivenPasswordIsNeverPrinted) {
  done({"domain", "add", "example.test"});
  const Outcome made = call({"account", "add", "--password-stdin", "alice@example.test"}, "wonderland 7\n");
  EXPECT_THAT(made.out + made.error, Not(HasSubstr("wonderland")));
  const Outcome changed = call({"--json", "password", "alice@example.test"}, "looking-glass\n");
  EXPECT_THAT(changed.out + changed.error, Not(HasSubstr("looking-glass")));
}

TEST_F(MailctlTest, AnEmptyPasswordIsRefused) {
  add_alice();
  EXPECT_THAT(refused({"password", "alice@example.test"}, kFailed, "\n"), HasSubstr("empty"));
  EXPECT_THAT(refused({"account", "add", "--password-stdin", "bob@example.test"}), HasSubstr("empty"));
  EXPECT_TRUE(logs_in("alice@example.test", "wonderland 7"));
}

TEST_F(MailctlTest, APasswordIsChanged) {
  add_alice();
  done({"password", "alice@example.test"}, "looking-glass\n");
  EXPECT_TRUE(logs_in("alice@example.test", "looking-glass"));
  EXPECT_FALSE(logs_in("alice@example.test", "wonderland 7"));
}

TEST_F(MailctlTest, WithoutATerminalAPasswordHasToComeFromSomewhere) {
  done({"domain", "add", "example.test"});
  EXPECT_THAT(refused({"account", "add", "bob@example.test"}, kUsage), HasSubstr("--password-stdin or --generate"));
}

TEST_F(MailctlTest, AnAccountOfAnUnknownDomainIsRefused) {
  EXPECT_THAT(refused({"account", "add", "--generate", "bob@example.test"}), HasSubstr("example.test"));
}

TEST_F(MailctlTest, AnAccountIsDisabledAndEnabled) {
  add_alice();
  done({"account", "disable", "ALICE@example.test"});
  EXPECT_EQ(json({"account", "list"})[0]["enabled"], false);
  EXPECT_FALSE(logs_in("alice@example.test", "wonderland 7"));
  done({"account", "enable", "alice@example.test"});
  EXPECT_TRUE(logs_in("alice@example.test", "wonderland 7"));
}

TEST_F(MailctlTest, ARemovedAccountLeavesItsMailUnlessToldOtherwise) {
  add_alice();
  const std::string file = json({"account", "show", "alice@example.test"})["file"];
  std::filesystem::create_directories(std::filesystem::path(file).parent_path());
  std::ofstream(file) << "mail";
  EXPECT_EQ(json({"account", "remove", "alice@example.test"})["mail"], file);
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_THAT(refused({"account", "show", "alice@example.test"}), HasSubstr("There is no account alice@example.test."));
}

TEST_F(MailctlTest, ARemovedAccountTakesItsMailAlongWhenToldSo) {
  add_alice();
  const std::string file = json({"account", "show", "alice@example.test"})["file"];
  std::filesystem::create_directories(std::filesystem::path(file).parent_path());
  std::ofstream(file) << "mail";
  done({"account", "remove", "--delete-mail", "alice@example.test"});
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(MailctlTest, ShowingAnAccountMakesNoFile) {
  add_alice();
  const auto shown = json({"account", "show", "alice@example.test"});
  EXPECT_EQ(shown["messages"], 0);
  EXPECT_FALSE(std::filesystem::exists(std::string(shown["file"])));
}

TEST_F(MailctlTest, AnAliasIsSetListedAndRemoved) {
  add_alice();
  done({"alias", "set", "sales@example.test", "alice@example.test", "bob@example.net"});
  EXPECT_EQ(json({"alias", "list"})[0]["targets"].size(), 2U);
  EXPECT_THAT(done({"alias", "list"}), HasSubstr("alice@example.test, bob@example.net"));
  EXPECT_EQ(json({"account", "show", "alice@example.test"})["aliases"][0], "sales@example.test");
  done({"alias", "remove", "sales@example.test"});
  EXPECT_TRUE(json({"alias", "list"}).empty());
}

TEST_F(MailctlTest, AQuotaIsSetInAnyUnit) {
  add_alice();
  done({"quota", "set", "alice@example.test", "2GiB"});
  EXPECT_EQ(json({"quota", "show", "alice@example.test"})["quota"], uint64_t{2} << 30);
  EXPECT_THAT(done({"quota", "show", "alice@example.test"}), HasSubstr("2GiB"));
  EXPECT_THAT(refused({"quota", "set", "alice@example.test", "much"}, kUsage), HasSubstr("much is no size"));
}

TEST_F(MailctlTest, ANewAccountGetsTheConfiguredQuota) {
  std::ofstream(state_ + "/config.toml") << "store.quota = \"1GiB\"\n";
  add_alice();
  EXPECT_EQ(json({"account", "list"})[0]["quota"], uint64_t{1} << 30);
}

TEST_F(MailctlTest, TablesHaveAHeadingAndAlignedColumns) {
  add_alice();
  done({"account", "add", "--generate", "a@example.test"});
  const std::string table = done({"account", "list"});
  EXPECT_THAT(table, testing::StartsWith("ADDRESS             ENABLED  QUOTA  SINCE\n"));
  EXPECT_THAT(table, HasSubstr("\na@example.test      yes      -      20"));
}

TEST_F(MailctlTest, WhatIsEmptyIsSaid) {
  EXPECT_THAT(done({"domain", "list"}), HasSubstr("mailctl domain add"));
  EXPECT_EQ(done({"queue", "list"}), "Nothing waits to be delivered.\n");
  EXPECT_TRUE(json({"queue", "list"}).empty());
}

TEST_F(MailctlTest, AnUnknownQueueIdIsExplained) {
  EXPECT_THAT(refused({"queue", "show", "?"}, kUsage), HasSubstr("is no queue id"));
}

// --- configuration

TEST_F(MailctlTest, ConfigCheckNamesThePlaceOfAMistake) {
  std::ofstream(state_ + "/config.toml") << "[smtp]\nprot = 25\n";
  EXPECT_THAT(refused({"config", "check"}),
              HasSubstr("config.toml:2:1: There is no key smtp.prot. Did you mean smtp.port?"));
}

TEST_F(MailctlTest, ConfigShowPrintsAFileThatGivesTheSame) {
  std::ofstream(state_ + "/config.toml") << "smtp.port = 2525\nroutes.\"a.test\" = \"127.0.0.1:25\"\n";
  const std::string shown = done({"config", "show"});
  EXPECT_THAT(shown, HasSubstr("port = 2525"));
  std::ofstream(state_ + "/config.toml") << shown;
  EXPECT_EQ(done({"config", "show"}), shown);
}

TEST_F(MailctlTest, ConfigShowGivesProgramsTypedValues) {
  std::ofstream(state_ + "/config.toml") << "smtp.port = 2525\nqueue.retry = [\"1s\", \"5s\"]\n";
  const auto shown = json({"config", "show"});
  EXPECT_EQ(shown["smtp.port"], 2525);
  EXPECT_EQ(shown["queue.retry"], (nlohmann::json{"1s", "5s"}));
  EXPECT_TRUE(shown["routes"].is_object());
}

TEST_F(MailctlTest, ConfigDocumentPrintsThePageOfTheDocuments) {
  EXPECT_EQ(done({"config", "document"}), config::document());
}

// --- the command line

TEST_F(MailctlTest, EveryCommandHasHelpWithExamplesFilesAndExitStatus) {
  const std::vector<std::vector<std::string>> commands = {{},
                                                          {"domain", "add"},
                                                          {"domain", "remove"},
                                                          {"domain", "list"},
                                                          {"domain", "catch-all"},
                                                          {"account", "add"},
                                                          {"account", "remove"},
                                                          {"account", "list"},
                                                          {"account", "enable"},
                                                          {"account", "disable"},
                                                          {"account", "show"},
                                                          {"alias", "set"},
                                                          {"alias", "remove"},
                                                          {"alias", "list"},
                                                          {"password"},
                                                          {"quota", "set"},
                                                          {"quota", "show"},
                                                          {"queue", "list"},
                                                          {"queue", "show"},
                                                          {"queue", "stats"},
                                                          {"queue", "retry"},
                                                          {"queue", "hold"},
                                                          {"queue", "release"},
                                                          {"queue", "remove"},
                                                          {"queue", "bounce"},
                                                          {"queue", "flush"},
                                                          {"trace"},
                                                          {"config", "show"},
                                                          {"config", "check"},
                                                          {"config", "document"},
                                                          {"doctor"},
                                                          {"version"}};
  for (std::vector<std::string> command : commands) {
    std::string name = "mailctl";
    for (const std::string& word : command) name += ' ' + word;
    command.emplace_back("--help");
    const std::string help = done(command);
    EXPECT_THAT(help, HasSubstr("Usage: " + name + " ["));
    EXPECT_THAT(help, HasSubstr("EXAMPLES\n  "));
    EXPECT_THAT(help, HasSubstr("FILES\n"));
    EXPECT_THAT(help, HasSubstr("EXIT STATUS\n"));
  }
}

TEST_F(MailctlTest, AWrongCommandLineIsStatusTwo) {
  EXPECT_NE(refused({}, kUsage), "");
  EXPECT_NE(refused({"frobnicate"}, kUsage), "");
  EXPECT_NE(refused({"domain", "add"}, kUsage), "");
  EXPECT_NE(refused({"domain", "add", "a.test", "b.test"}, kUsage), "");
}

TEST_F(MailctlTest, OptionsMayStandBehindTheCommandToo) {
  const std::string out = done({"domain", "list", "--json"});
  EXPECT_TRUE(nlohmann::json::parse(out).is_array());
}

TEST(Wrap, BreaksLinesAndKeepsParagraphs) {
  EXPECT_EQ(wrap("one two three four", 9), "one two\nthree\nfour");
  EXPECT_EQ(wrap("one\n\ntwo", 9), "one\n\ntwo");
  EXPECT_EQ(wrap("overlongword x", 4), "overlongword\nx");
}

}  // namespace
}  // namespace postrider::mailctl
