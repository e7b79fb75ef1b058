#include "common/sasl/mechanism.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/sasl/authenticator.h"

namespace postrider::sasl {
namespace {

using namespace std::string_literals;

template <class T>
const T& as(const Outcome& outcome) {
  static const T none{};
  const T* held = std::get_if<T>(&outcome);
  EXPECT_NE(held, nullptr) << "another outcome: " << outcome.index();
  return held ? *held : none;
}

FailureKind failure_of(const Outcome& outcome) {
  return as<Failed>(outcome).kind;
}

const FakeRecords& fakes() {
  static const FakeRecords records(std::string(32, 'k'));
  return records;
}

// --- EXTERNAL

Outcome external(std::vector<std::string> addresses, std::optional<std::string_view> initial) {
  Authenticator authenticator(MechanismName::external, fakes(), Channel{{}, std::move(addresses)});
  return authenticator.begin(initial);
}

TEST(External, TakesTheUserFromTheCertificate) {
  EXPECT_EQ(as<Vouched>(external({"alice@example.test", "bob@example.test"}, "=")).user, "alice@example.test");
  EXPECT_EQ(as<Vouched>(external({"alice@example.test", "bob@example.test"}, base64_encode("Bob@example.test"))).user,
            "bob@example.test");
  EXPECT_EQ(as<Challenge>(external({"alice@example.test"}, std::nullopt)).octets, "");
  EXPECT_EQ(as<Vouched>(external({"ev\xffil@example.test", "alice@example.test"}, "=")).user, "alice@example.test");
}

TEST(External, RefusesEverybodyElse) {
  EXPECT_EQ(failure_of(external({"alice@example.test"}, base64_encode("bob@example.test"))), FailureKind::rejected);
  EXPECT_EQ(failure_of(external({"alice@example.test"}, base64_encode("alice"))), FailureKind::rejected);
  EXPECT_EQ(failure_of(external({}, "=")), FailureKind::rejected);
  EXPECT_EQ(failure_of(external({"alice@example.test"}, base64_encode("alice@example.test\0"s))),
            FailureKind::malformed);
}

// --- PLAIN

Outcome plain(std::string_view message) {
  return make_mechanism(MechanismName::plain, fakes())->step(message);
}

TEST(Plain, HandsOverUserAndPassword) {
  const auto outcome = plain("\0alice@example.test\0secret"s);
  EXPECT_EQ(as<CheckPassword>(outcome).user, "alice@example.test");
  EXPECT_EQ(as<CheckPassword>(outcome).password, "secret");
}

TEST(Plain, BeginsWithAnEmptyChallenge) {
  EXPECT_EQ(as<Challenge>(make_mechanism(MechanismName::plain, fakes())->start()).octets, "");
}

TEST(Plain, AuthorizationIdentityMustBeTheUser) {
  EXPECT_EQ(as<CheckPassword>(plain("alice\0alice\0secret"s)).user, "alice");
  EXPECT_EQ(failure_of(plain("bob\0alice\0secret"s)), FailureKind::rejected);
}

TEST(Plain, RefusesWhatIsNotItsSyntax) {
  for (const auto& text : {""s, "alice"s, "alice\0secret"s, "\0alice\0sec\0ret"s}) {
    EXPECT_EQ(failure_of(plain(text)), FailureKind::malformed) << text;
  }
}

TEST(Plain, RefusesEmptyAndImpossibleNames) {
  EXPECT_EQ(failure_of(plain("\0\0secret"s)), FailureKind::rejected);
  EXPECT_EQ(failure_of(plain("\0alice\0"s)), FailureKind::rejected);
  EXPECT_EQ(failure_of(plain("\0al\xFFice\0secret"s)), FailureKind::rejected);
  EXPECT_EQ(failure_of(plain("\0"s + std::string(kMaxUserOctets + 1, 'a') + "\0secret"s)), FailureKind::rejected);
}

// --- LOGIN

TEST(Login, AsksTwice) {
  auto login = make_mechanism(MechanismName::login, fakes());
  EXPECT_EQ(as<Challenge>(login->start()).octets, "Username:");
  EXPECT_EQ(as<Challenge>(login->step("alice")).octets, "Password:");
  const auto outcome = login->step("secret");
  EXPECT_EQ(as<CheckPassword>(outcome).user, "alice");
  EXPECT_EQ(as<CheckPassword>(outcome).password, "secret");
}

TEST(Login, TakesTheNameFromTheCommand) {
  Authenticator login(MechanismName::login, fakes());
  EXPECT_EQ(as<Challenge>(login.begin("YWxpY2U=")).octets, "Password:");
}

// --- SCRAM-SHA-256

constexpr std::string_view kClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view kClientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

PasswordRecord pencil() {
  PasswordRecord record;
  record.scram_salt = base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value();
  record.scram_iterations = 4096;
  auto keys = derive_scram_keys("pencil", record.scram_salt, record.scram_iterations);
  record.stored_key = keys.stored_key;
  record.server_key = keys.server_key;
  return record;
}

/// Up to the server's first message.
std::unique_ptr<Mechanism> after_first(const PasswordRecord* record) {
  auto scram = make_scram(fakes(), std::string(kServerNonce));
  EXPECT_EQ(as<NeedCredentials>(scram->step(kClientFirst)).user, "user");
  as<Challenge>(scram->supply(record));
  return scram;
}

TEST(Scram, TheExchangeOfRfc7677) {
  const auto record = pencil();
  auto scram = make_scram(fakes(), std::string(kServerNonce));
  EXPECT_EQ(as<Challenge>(scram->start()).octets, "");
  EXPECT_EQ(as<NeedCredentials>(scram->step(kClientFirst)).user, "user");
  EXPECT_EQ(as<Challenge>(scram->supply(&record)).octets, kServerFirst);
  EXPECT_EQ(as<Challenge>(scram->step(kClientFinal)).octets, kServerFinal);
  EXPECT_EQ(as<Authenticated>(scram->step("")).user, "user");
}

TEST(Scram, AnyChangedOctetOfTheProofIsRejected) {
  const auto record = pencil();
  for (size_t at = kClientFinal.size() - 44; at + 1 < kClientFinal.size(); ++at) {
    std::string changed(kClientFinal);
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    auto outcome = after_first(&record)->step(changed);
    EXPECT_TRUE(std::holds_alternative<Failed>(outcome)) << changed;
  }
}

TEST(Scram, NothingWorksAfterAFailure) {
  const auto record = pencil();
  auto scram = after_first(&record);
  EXPECT_EQ(failure_of(scram->step("nonsense")), FailureKind::malformed);
  EXPECT_EQ(failure_of(scram->step(kClientFinal)), FailureKind::malformed);
}

TEST(Scram, AnotherNonceIsRejected) {
  const auto record = pencil();
  std::string replayed(kClientFinal);
  replayed.replace(replayed.find("r=rOpr"), 6, "r=xOpr");
  EXPECT_EQ(failure_of(after_first(&record)->step(replayed)), FailureKind::rejected);
}

TEST(Scram, TheChannelBindingMustRepeatTheHeader) {
  const auto record = pencil();
  std::string changed(kClientFinal);
  changed.replace(changed.find("c=biws"), 6, "c=eSws");  // "y,,"
  EXPECT_EQ(failure_of(after_first(&record)->step(changed)), FailureKind::rejected);
}

/// RFC 5802 6: what is bound to a channel says so, and who lost the offer on the way is sent away.
TEST(Scram, IsBoundToTheChannelOrSaysThatItIsNot) {
  const auto begin = [](std::string_view header, ChannelBinding binding) {
    auto scram = make_scram(fakes(), std::string(kServerNonce), std::move(binding));
    return scram->step(std::string(header) + "n=user,r=abc");
  };
  EXPECT_EQ(as<NeedCredentials>(begin("p=tls-exporter,,", {"data", true})).user, "user");
  EXPECT_EQ(as<NeedCredentials>(begin("n,,", {"data", false})).user, "user");
  EXPECT_EQ(as<NeedCredentials>(begin("y,,", {})).user, "user");
  EXPECT_EQ(failure_of(begin("y,,", {"data", false})), FailureKind::rejected);
  EXPECT_EQ(failure_of(begin("n,,", {"data", true})), FailureKind::malformed);
  EXPECT_EQ(failure_of(begin("p=tls-unique,,", {"data", true})), FailureKind::malformed);
  EXPECT_EQ(failure_of(begin("p=tls-exporter,,", {"data", false})), FailureKind::malformed);
}

TEST(Scram, UnknownUsersGetAPlausibleAndStableSalt) {
  const auto first_of = [](std::string_view user) {
    auto scram = make_scram(fakes(), "servernonce");
    scram->step("n,,n="s + std::string(user) + ",r=abc");
    return as<Challenge>(scram->supply(nullptr)).octets;
  };
  EXPECT_EQ(first_of("nobody"), first_of("nobody"));
  EXPECT_EQ(first_of("nobody"), first_of("NoBody"));
  EXPECT_NE(first_of("nobody"), first_of("noone"));
  EXPECT_NE(first_of("nobody").find(fmt::format(",i={}", kScramIterations)), std::string::npos);
}

TEST(Scram, UnknownUsersFailAtTheEndLikeAWrongPassword) {
  EXPECT_EQ(failure_of(after_first(nullptr)->step(kClientFinal)), FailureKind::rejected);
}

TEST(Scram, NamesAreUnescaped) {
  auto scram = make_scram(fakes(), "n");
  EXPECT_EQ(as<NeedCredentials>(scram->step("n,,n=a=2Cb=3Dc,r=abc")).user, "a,b=c");
}

TEST(Scram, TheAuthorizationIdentityMustBeTheUser) {
  EXPECT_EQ(as<NeedCredentials>(make_scram(fakes(), "n")->step("n,a=bob,n=bob,r=abc")).user, "bob");
  EXPECT_EQ(failure_of(make_scram(fakes(), "n")->step("n,a=eve,n=bob,r=abc")), FailureKind::rejected);
}

TEST(Scram, RefusesWhatIsNotItsSyntax) {
  for (std::string_view text :
       {"", "n", "n,", "n,,", "x,,n=u,r=abc", "p=tls-unique,,n=u,r=abc", "n,,n=u", "n,,r=abc",
        "n,,n=u,r=", "n,,m=ext,n=u,r=abc", "n,,n=a=2,r=abc", "n,,n=a=ZZ,r=abc", "n,a=x=,n=u,r=abc", "n,,n=u,r=a\x01"}) {
    EXPECT_EQ(failure_of(make_scram(fakes(), "n")->step(text)), FailureKind::malformed) << text;
  }
  const auto record = pencil();
  for (std::string_view text : {"", "c=biws", "c=biws,r=x", "c=biws,p=AAAA", ",p=", "c=biws,r=x,p=%%%", "p=AAAA"}) {
    EXPECT_EQ(failure_of(after_first(&record)->step(text)), FailureKind::malformed) << text;
  }
}

TEST(Scram, EveryPrefixOfTheClientsMessagesIsHarmless) {
  const auto record = pencil();
  for (size_t n = 0; n < kClientFinal.size(); ++n) {
    EXPECT_TRUE(std::holds_alternative<Failed>(after_first(&record)->step(kClientFinal.substr(0, n)))) << n;
  }
}

// --- the base64 layer

TEST(Authenticator, BadBase64IsMalformedWhateverItsLength) {
  for (std::string_view text :
       {"A", "AA", "AAA", "AAAAA", "AA==AA==", "A===", "AB==", "=AAA", "AA=A", "A\0AA", "AAAA\r"}) {
    Authenticator plain(MechanismName::plain, fakes());
    EXPECT_EQ(failure_of(plain.begin(text)), FailureKind::malformed) << text;
  }
}

TEST(Authenticator, TooLongIsRefusedBeforeItIsDecoded) {
  Authenticator plain(MechanismName::plain, fakes());
  EXPECT_EQ(failure_of(plain.begin(std::string(1 << 20, 'A'))), FailureKind::too_long);
}

TEST(Authenticator, AStarCancels) {
  Authenticator plain(MechanismName::plain, fakes());
  plain.begin(std::nullopt);
  EXPECT_EQ(failure_of(plain.line("*")), FailureKind::cancelled);
}

TEST(Authenticator, AnEqualsSignIsAnEmptyInitialResponse) {
  Authenticator login(MechanismName::login, fakes());
  EXPECT_EQ(as<Challenge>(login.begin("=")).octets, "Password:");
}

TEST(MechanismName, IsFoundInAnyCase) {
  EXPECT_EQ(parse_mechanism_name("plain"), MechanismName::plain);
  EXPECT_EQ(parse_mechanism_name("Scram-Sha-256"), MechanismName::scram_sha_256);
  EXPECT_FALSE(parse_mechanism_name("SCRAM-SHA-256-PLUS"));
  EXPECT_EQ(parse_mechanism_name("scram-sha-256-plus", {"bound", {}}), MechanismName::scram_sha_256_plus);
  EXPECT_FALSE(parse_mechanism_name("EXTERNAL"));
  EXPECT_EQ(parse_mechanism_name("external", {{}, {"alice@example.test"}}), MechanismName::external);
  EXPECT_FALSE(parse_mechanism_name(""));
}

}  // namespace
}  // namespace postrider::sasl
