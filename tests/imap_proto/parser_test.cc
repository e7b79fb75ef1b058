#include "imapd/proto/parser.h"

#include <gtest/gtest.h>

#include "imapd/proto/append_reader.h"
#include "imapd/proto/writer.h"

namespace postrider::imap {
namespace {

/// What a parse function makes of a command's arguments; nothing when it refuses them.
template <class Command>
std::optional<Command> read(bool (*parse)(Cursor&, Command&), std::string_view text) {
  Cursor cursor(text);
  Command command;
  if (parse(cursor, command)) return command;
  EXPECT_FALSE(cursor.error().empty()) << text;
  return std::nullopt;
}

/// No text that ends early is taken for the whole, or does harm.
template <class Command>
void read_every_prefix(bool (*parse)(Cursor&, Command&), std::string_view text) {
  for (size_t length = 0; length < text.size(); ++length) {
    Cursor cursor(text.substr(0, length));
    Command command;
    parse(cursor, command);
  }
}

TEST(ParseVerb, ReadsTagAndVerb) {
  std::string tag, verb;
  Cursor cursor("a1 uid Fetch 1 FLAGS");
  ASSERT_TRUE(parse_verb(cursor, tag, verb));
  EXPECT_EQ(tag, "a1");
  EXPECT_EQ(verb, "UID FETCH");
  EXPECT_EQ(cursor.rest(), " 1 FLAGS");
}

TEST(ParseVerb, RefusesWhatHasNoTagOrVerb) {
  for (std::string_view text : {"", " ", "a", "a ", "+ NOOP", "(a NOOP", "a  NOOP", "a UID", "a UID ", "\"a\" NOOP"}) {
    std::string tag, verb;
    Cursor cursor(text);
    EXPECT_FALSE(parse_verb(cursor, tag, verb)) << text;
  }
}

TEST(ParseLogin, TakesAtomsStringsAndLiterals) {
  auto login = read(parse_login, " alice@example.test \"se\\\"cr\\\\et\"");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->user, "alice@example.test");
  EXPECT_EQ(login->password, "se\"cr\\et");
  login = read(parse_login, " {5}\r\nalice {3+}\r\na b");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->password, "a b");
}

TEST(ParseLogin, RefusesWhatIsNoString) {
  for (std::string_view text :
       {"", " a", " a ", " a b c", " \"a b", " \"a\\b\" c", " {9}\r\nabc d", " a(b c", " {3}abc d"}) {
    EXPECT_FALSE(read(parse_login, text)) << text;
  }
  EXPECT_FALSE(read(parse_login, std::string_view(" {3}\r\na\0b c", 12)));
}

TEST(ParseAuthenticate, TakesAnInitialResponse) {
  auto command = read(parse_authenticate, " plain AGFsaWNlAHNlY3JldA==");
  ASSERT_TRUE(command);
  EXPECT_EQ(command->mechanism, "PLAIN");
  EXPECT_EQ(command->initial, "AGFsaWNlAHNlY3JldA==");
  EXPECT_EQ(read(parse_authenticate, " EXTERNAL =")->initial, "=");
  EXPECT_EQ(read(parse_authenticate, " SCRAM-SHA-256")->initial, std::nullopt);
}

TEST(ParseId, TakesFieldsAndNil) {
  auto id = read(parse_id, " (\"name\" \"Thunderbird\" \"version\" NIL)");
  ASSERT_TRUE(id);
  ASSERT_EQ(id->fields.size(), 2u);
  EXPECT_EQ(id->fields[0].second, "Thunderbird");
  EXPECT_EQ(id->fields[1].second, std::nullopt);
  EXPECT_TRUE(read(parse_id, " NIL"));
  EXPECT_TRUE(read(parse_id, " ()"));
  EXPECT_FALSE(read(parse_id, " (\"name\")"));
}

TEST(ParseSelect, DecodesTheMailbox) {
  EXPECT_EQ(read(parse_select, " Entw&APw-rfe")->mailbox, "Entwürfe");
  EXPECT_EQ(read(parse_select, " inbox")->mailbox, "INBOX");
  EXPECT_TRUE(read(parse_select, " \"INBOX\" (CONDSTORE)")->condstore);
  EXPECT_FALSE(read(parse_select, " INBOX (QUICK)"));
}

TEST(ParseSelect, AnswersNoToANameThatCannotBe) {
  for (std::string_view text : {" &AOQ", " \"\xc3\xa4\""}) {
    Cursor cursor(text);
    SelectCommand command;
    EXPECT_FALSE(parse_select(cursor, command));
    EXPECT_EQ(cursor.fault(), Cursor::Fault::cannot) << text;
  }
}

TEST(ParseCreate, TakesSpecialUse) {
  auto create = read(parse_create, " Everything (USE (\\All \\Sent))");
  ASSERT_TRUE(create);
  EXPECT_EQ(create->use, (std::vector<std::string>{"\\All", "\\Sent"}));
  EXPECT_FALSE(read(parse_create, " X (USE \\All)"));
}

TEST(ParseList, TakesThePlainForm) {
  auto list = read(parse_list, " \"\" *");
  ASSERT_TRUE(list);
  EXPECT_FALSE(list->extended);
  EXPECT_EQ(list->patterns, std::vector<std::string>{"*"});
  EXPECT_EQ(read(parse_list, " Work/ %x]*")->patterns, std::vector<std::string>{"%x]*"});
}

TEST(ParseList, TakesTheExtendedForm) {
  auto list = read(parse_list,
                   " (SUBSCRIBED RECURSIVEMATCH) \"\" (\"INBOX\" \"Sent/%\") RETURN (CHILDREN SPECIAL-USE STATUS "
                   "(MESSAGES UNSEEN))");
  ASSERT_TRUE(list);
  EXPECT_TRUE(list->extended && list->select_subscribed && list->select_recursive);
  EXPECT_TRUE(list->return_children && list->return_special_use);
  EXPECT_EQ(list->return_status, kStatusMessages | kStatusUnseen);
  EXPECT_EQ(list->patterns.size(), 2u);
  EXPECT_TRUE(read(parse_list, " () \"\" % RETURN ()"));
  EXPECT_FALSE(read(parse_list, " (RECURSIVEMATCH) \"\" *")) << "RFC 5258 3.1: not alone";
  EXPECT_FALSE(read(parse_list, " (NONSENSE) \"\" *"));
}

TEST(ParseStatus, TakesEveryItem) {
  auto status =
      read(parse_status,
           " INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE DELETED MAILBOXID APPENDLIMIT)");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->items, 1023u);
  EXPECT_EQ(read(parse_status, " INBOX (DELETED DELETED-STORAGE)")->items, kStatusDeleted | kStatusDeletedStorage);
  EXPECT_FALSE(read(parse_status, " INBOX ()"));
  EXPECT_FALSE(read(parse_status, " INBOX (MESSAGES"));
}

/// The steps of an APPEND whose text came in these stretches, one letter a step; "-" where it is refused.
std::string append_steps(std::vector<std::string_view> stretches, bool literal_at_end = false) {
  AppendReader reader;
  std::vector<AppendStep> steps;
  for (size_t i = 0; i < stretches.size(); ++i) {
    Cursor cursor(stretches[i]);
    if (!reader.read(cursor, literal_at_end || i + 1 < stretches.size(), steps)) {
      EXPECT_FALSE(cursor.error().empty());
      return "-";
    }
  }
  std::string letters;
  for (const AppendStep& step : steps) letters += "blUue"[static_cast<size_t>(step.kind)];
  return letters;
}

TEST(Commands, QuotaNamesARootAndLimits) {
  EXPECT_EQ(*read(parse_get_quota, " \"\""), "");
  EXPECT_EQ(*read(parse_get_quota, " Account"), "Account");
  EXPECT_FALSE(read(parse_get_quota, ""));
  EXPECT_FALSE(read(parse_get_quota, " a b"));
  EXPECT_EQ(*read(parse_set_quota, " Account (STORAGE 512 MESSAGE 1000)"), "Account");
  EXPECT_TRUE(read(parse_set_quota, " Account ()"));
  EXPECT_FALSE(read(parse_set_quota, " Account"));
  EXPECT_FALSE(read(parse_set_quota, " Account (STORAGE)"));
  EXPECT_FALSE(read(parse_set_quota, " Account (STORAGE -1)"));
}

TEST(ParseAppend, ReadsWhatStandsBetweenTheLiterals) {
  EXPECT_EQ(append_steps({" (\\Seen) \"17-Jul-1996 02:44:25 -0700\" ", ""}), "ble");
  EXPECT_EQ(append_steps({" ", " (\\Seen) ", " ", ""}), "blebleble") << "RFC 3502";
  EXPECT_EQ(append_steps({" CATENATE (URL \"/a;UID=1\" TEXT ", " URL b TEXT ", ")"}), "bUlUle") << "RFC 4469";
  EXPECT_EQ(append_steps({" CATENATE (URL /a)"}), "bUe");
  EXPECT_EQ(append_steps({" CATENATE (URL ", ") ", ""}), "bueble");
  EXPECT_EQ(append_steps({" UTF8 (", ")"}), "ble") << "RFC 6855";
  for (auto stretches : std::vector<std::vector<std::string_view>>{{""},
                                                                   {" "},
                                                                   {"x", ""},
                                                                   {" (\\Seen", ""},
                                                                   {" ", "x"},
                                                                   {" CATENATE (", ""},
                                                                   {" CATENATE ()"},
                                                                   {" CATENATE (TEXT x)"},
                                                                   {" UTF8 (", ""},
                                                                   {" (\\Recent) ", ""},
                                                                   {" \"01-Jan-0000 00:00:00 +0000\" ", ""}}) {
    EXPECT_EQ(append_steps(stretches), "-") << stretches.front();
  }
}

TEST(ParseAppend, ReadsFlagsAndDate) {
  AppendReader reader;
  std::vector<AppendStep> steps;
  Cursor cursor(" (\\Seen $MDNSent) \"17-Jul-1996 02:44:25 -0700\" ");
  ASSERT_TRUE(reader.read(cursor, true, steps));
  EXPECT_EQ(steps.front().flags.system, flag::kSeen);
  EXPECT_EQ(steps.front().flags.keywords, std::vector<std::string>{"$MDNSent"});
  EXPECT_EQ(steps.front().date, 837596665);
}

TEST(ParseAppend, LimitsFlagsMessagesAndParts) {
  std::string flags = " (";
  for (int i = 0; i < 10'000; ++i) flags += (i ? " k" : "k") + std::to_string(i);
  EXPECT_EQ(append_steps({flags + ") ", ""}), "-");
  EXPECT_EQ(append_steps(std::vector<std::string_view>(kMaxAppendedMessages + 1, " "), true), "-");
  std::string parts = " CATENATE (URL a";
  for (size_t i = 0; i < kMaxCatenatedParts; ++i) parts += " URL a";
  EXPECT_EQ(append_steps({parts + ")"}), "-");
}

struct SetCase {
  const char* text;
  const char* resolved;  // of ten; null: refused
};
constexpr SetCase kSets[] = {
    {"1", "1"},
    {"1:*", "1:10"},
    {"*:*", "10"},
    {"*", "10"},
    {"3,1,2", "1:3"},
    {"4294967295:1", "1:4294967295"},
    {"0", nullptr},
    {"1:0", nullptr},
    {"", nullptr},
    {"1,", nullptr},
    {"1:", nullptr},
    {"-1", nullptr},
    {"4294967296", nullptr},
    {"1:2:3", nullptr},
    {"1 2", nullptr},
    {"a", nullptr},
};

TEST(SequenceSet, IsReadStrictly) {
  for (const SetCase& c : kSets) {
    auto set = read(parse_uid_expunge, " " + std::string(c.text));
    ASSERT_EQ(set.has_value(), c.resolved != nullptr) << c.text;
    if (set) EXPECT_EQ(format_set(set->resolve(10)), c.resolved) << c.text;
  }
}

TEST(SequenceSet, HasALimitOfRanges) {
  std::string text = " 1";
  for (int i = 0; i < 100'000; ++i) text += ",1";
  EXPECT_FALSE(read(parse_uid_expunge, text));
}

TEST(ParseFetch, ExpandsMacros) {
  EXPECT_EQ(read(parse_fetch, " 1 ALL")->items.size(), 4u);
  EXPECT_EQ(read(parse_fetch, " 1 FAST")->items.size(), 3u);
  EXPECT_EQ(read(parse_fetch, " 1 full")->items.size(), 5u);
  EXPECT_FALSE(read(parse_fetch, " 1 (ALL)"));
}

/// A section is answered under the name that it was asked for.
TEST(ParseFetch, ReadsSections) {
  for (std::string name :
       {"BODY[]", "BODY[HEADER]", "BODY[TEXT]", "BODY[1]", "BODY[1.2.3]", "BODY[1.MIME]", "BODY[4.1.HEADER]",
        "BODY[HEADER.FIELDS (From Message-ID)]", "BODY[2.HEADER.FIELDS.NOT (To)]", "BODY[2.TEXT]"}) {
    auto fetch = read(parse_fetch, " 1 " + name);
    ASSERT_TRUE(fetch) << name;
    std::string answered;
    append_section_name(answered, fetch->items[0]);
    EXPECT_EQ(answered, name);
    EXPECT_FALSE(fetch->items[0].peek);
    fetch = read(parse_fetch, " 1 (FLAGS BODY.PEEK" + name.substr(4) + "<0.100>)");
    ASSERT_TRUE(fetch) << name;
    EXPECT_TRUE(fetch->items[1].peek);
    EXPECT_EQ(fetch->items[1].partial->length, 100u);
  }
}

TEST(ParseFetch, RefusesMalformedItems) {
  for (std::string_view items : {"",
                                 "()",
                                 "(FLAGS",
                                 "FLAGS UID",
                                 "(FLAGS  UID)",
                                 "BODY[",
                                 "BODY[1",
                                 "BODY[0]",
                                 "BODY[1.]",
                                 "BODY[.1]",
                                 "BODY[MIME]",
                                 "BODY[1.2.NONSENSE]",
                                 "BODY[HEADER.FIELDS]",
                                 "BODY[HEADER.FIELDS ()]",
                                 "BODY[]<0>",
                                 "BODY[]<0.0>",
                                 "BODY[]<-1.5>",
                                 "BODY.PEEK",
                                 "BODY[]<1.4294967296>",
                                 "NONSENSE",
                                 "(FLAGS) (CHANGEDSINCE)"}) {
    EXPECT_FALSE(read(parse_fetch, " 1 " + std::string(items))) << items;
  }
}

TEST(ParseFetch, TakesChangedSince) {
  EXPECT_EQ(read(parse_fetch, " 1:* (UID FLAGS) (CHANGEDSINCE 12345)")->changed_since, 12345u);
  EXPECT_FALSE(read(parse_fetch, " 1:* FLAGS (CHANGEDSINCE 9223372036854775808)")) << "63 bits, RFC 7162 3";
}

TEST(ParseFetch, LimitsDepthAndCount) {
  std::string deep = "1";
  for (int i = 0; i < 1'000; ++i) deep += ".1";
  EXPECT_FALSE(read(parse_fetch, " 1 BODY[" + deep + "]"));
  std::string many = "FLAGS";
  for (int i = 0; i < 1'000; ++i) many += " UID";
  EXPECT_FALSE(read(parse_fetch, " 1 (" + many + ")"));
  EXPECT_FALSE(read(parse_fetch, " 1 " + std::string(100'000, '(')));
}

TEST(ParseStore, ReadsActionSilenceAndCondition) {
  auto store = read(parse_store, " 1:3 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Deleted $Junk)");
  ASSERT_TRUE(store);
  EXPECT_EQ(store->action, StoreCommand::Action::add);
  EXPECT_TRUE(store->silent);
  EXPECT_EQ(store->unchanged_since, 7u);
  EXPECT_EQ(store->flags.system, flag::kDeleted);
  store = read(parse_store, " 1 -flags \\Seen \\Flagged");
  ASSERT_TRUE(store);
  EXPECT_EQ(store->action, StoreCommand::Action::remove);
  EXPECT_EQ(store->flags.system, flag::kSeen | flag::kFlagged);
  EXPECT_TRUE(read(parse_store, " 1 FLAGS ()"));
  for (std::string_view bad :
       {" 1 FLAGS", " 1 FLAGS (\\Recent)", " 1 FLAGS (\\*)", " 1 *FLAGS (x)", " 1 FLAG (x)", " 1 () FLAGS (x)"}) {
    EXPECT_FALSE(read(parse_store, bad)) << bad;
  }
}

TEST(ParseSearch, BuildsATree) {
  auto search = read(parse_search, " CHARSET utf-8 OR (FROM alice SUBJECT {3}\r\na b) NOT UNSEEN 1:5 SINCE 1-Feb-1994");
  ASSERT_TRUE(search);
  EXPECT_EQ(search->charset, "UTF-8");
  ASSERT_EQ(search->key.children.size(), 3u);
  const SearchKey& either = search->key.children[0];
  EXPECT_EQ(either.kind, SearchKey::Kind::any_of);
  EXPECT_EQ(either.children[0].children[1].value, "a b");
  EXPECT_EQ(either.children[1].kind, SearchKey::Kind::flag);
  EXPECT_FALSE(either.children[1].negated) << "NOT UNSEEN is SEEN";
  EXPECT_EQ(search->key.children[2].day, 8797);
}

TEST(ParseSearch, ReadsEveryKey) {
  for (std::string_view key : {"ALL",
                               "ANSWERED",
                               "BCC a",
                               "BEFORE 1-Feb-1994",
                               "BODY a",
                               "CC a",
                               "DELETED",
                               "DRAFT",
                               "FLAGGED",
                               "FROM \"\"",
                               "HEADER Message-ID <a@b>",
                               "KEYWORD $Junk",
                               "LARGER 1",
                               "NEW",
                               "NOT ALL",
                               "OLD",
                               "ON 1-Feb-1994",
                               "OR ALL ALL",
                               "RECENT",
                               "SEEN",
                               "SENTBEFORE \"1-Feb-1994\"",
                               "SENTON 1-Feb-1994",
                               "SENTSINCE 1-Feb-1994",
                               "SINCE 1-Feb-1994",
                               "SMALLER 0",
                               "SUBJECT a",
                               "TEXT a",
                               "TO a",
                               "UID 1:*",
                               "UNANSWERED",
                               "UNDELETED",
                               "UNDRAFT",
                               "UNFLAGGED",
                               "UNKEYWORD a",
                               "UNSEEN",
                               "OLDER 5",
                               "YOUNGER 5",
                               "MODSEQ 5",
                               "MODSEQ \"/flags/\\\\draft\" all 5",
                               "(ALL)",
                               "((ALL) SEEN)",
                               "1,3:*"}) {
    EXPECT_TRUE(read(parse_search, " " + std::string(key))) << key;
  }
}

TEST(ParseSearch, RefusesMalformedKeys) {
  for (std::string_view key :
       {"", "()", "(ALL", "ALL)", "NOT", "OR ALL", "BODY", "LARGER -1", "LARGER 4294967296", "SINCE 1994", "UID",
        "NONSENSE", "ALL  SEEN", "CHARSET", "HEADER a", "KEYWORD \\Seen", "YOUNGER 0"}) {
    EXPECT_FALSE(read(parse_search, " " + std::string(key))) << key;
  }
}

TEST(ParseSearch, TakesNotNotNotWithoutDepth) {
  std::string nots = " ";
  for (int i = 0; i < 10'001; ++i) nots += "NOT ";
  auto search = read(parse_search, nots + "ALL");
  ASSERT_TRUE(search);
  EXPECT_TRUE(search->key.children[0].negated);
}

TEST(ParseSearch, LimitsDepthAndCount) {
  EXPECT_FALSE(read(parse_search, " " + std::string(60'000, '(') + "ALL" + std::string(60'000, ')')));
  std::string ors = " ";
  for (int i = 0; i < 10'000; ++i) ors += "OR ";
  EXPECT_FALSE(read(parse_search, ors + "ALL ALL"));
  std::string many = " ALL";
  for (int i = 0; i < 10'000; ++i) many += " ALL";
  EXPECT_FALSE(read(parse_search, many));
}

TEST(ParseMetadata, ReadsOptionsOnEitherSideOfTheMailbox) {
  for (std::string_view text : {" (MAXSIZE 10 DEPTH infinity) INBOX (/Shared/a /private/b /shared/A)",
                                " INBOX (MAXSIZE 10 DEPTH infinity) (/Shared/a /private/b)"}) {
    auto command = read(parse_get_metadata, text);
    ASSERT_TRUE(command) << text;
    EXPECT_EQ(command->max_size, 10u);
    EXPECT_EQ(command->depth, GetMetadataCommand::kInfinity);
    EXPECT_EQ(command->entries, (std::vector<std::string>{"/shared/a", "/private/b"}));
  }
  auto server = read(parse_set_metadata, " \"\" (/private/a NIL /shared/b {1}\r\nx)");
  ASSERT_TRUE(server);
  EXPECT_EQ(server->mailbox, "");
  ASSERT_EQ(server->values.size(), 2u);
  EXPECT_EQ(server->values[0].second, std::nullopt);
  EXPECT_EQ(server->values[1].second, "x");
  EXPECT_FALSE(read(parse_get_metadata, " INBOX ()"));
  EXPECT_FALSE(read(parse_get_metadata, " INBOX (DEPTH 1)"));
  EXPECT_FALSE(read(parse_set_metadata, " INBOX /shared/a \"x\""));
  EXPECT_FALSE(read(parse_set_metadata, " INBOX (/shared/a ~x)"));
}

TEST(Parsers, BearEveryPrefix) {
  read_every_prefix(parse_get_metadata, " (MAXSIZE 10 DEPTH infinity) INBOX (/shared/a {10}\r\n/private/b)");
  read_every_prefix(parse_set_metadata, " INBOX (/shared/a ~{2+}\r\nab /private/b NIL)");
  read_every_prefix(parse_set_acl, " INBOX {3}\r\nbob +lrs");
  read_every_prefix(parse_uid_batches, " 500 1:20");
  read_every_prefix(parse_search,
                    " CHARSET UTF-8 OR (FROM {5}\r\nalice) NOT UID 1:* MODSEQ \"/flags\" all 5 SINCE \"1-Feb-1994\"");
  read_every_prefix(parse_fetch,
                    " 1:*,5 (UID BODY.PEEK[1.2.HEADER.FIELDS (\"From\" {2}\r\nTo)]<1.2> RFC822.SIZE) (CHANGEDSINCE 5)");
  read_every_prefix(parse_list, " (SUBSCRIBED) {0}\r\n (a \"b\") RETURN (STATUS (MESSAGES) CHILDREN)");
  read_every_prefix(parse_store, " 1 (UNCHANGEDSINCE 5) -FLAGS.SILENT (\\Seen a)");
  read_every_prefix(parse_append, " \"a\" (\\Seen) \"17-Jul-1996 02:44:25 -0700\" ");
}

}  // namespace
}  // namespace postrider::imap
