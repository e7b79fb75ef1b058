#include "common/sasl/client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"

namespace postrider::sasl {
namespace {

using namespace std::string_literals;

std::unique_ptr<ClientMechanism> client(MechanismName name) {
  return make_client(name, "user", "pencil").value();
}

// RFC 7677 3.
constexpr const char* kNonce = "rOprNGfwEbeRWgbNEkqO";
constexpr const char* kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr const char* kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

std::unique_ptr<ClientMechanism> scram() {
  return make_scram_client("user", "pencil", kNonce).value();
}

TEST(PlainClient, SaysEverythingAtOnce) {
  auto plain = client(MechanismName::plain);
  EXPECT_EQ(plain->initial(), "\0user\0pencil"s);
  EXPECT_FALSE(plain->answer("more"));
  EXPECT_TRUE(plain->may_succeed());
}

TEST(LoginClient, AnswersTwoQuestions) {
  auto login = client(MechanismName::login);
  EXPECT_EQ(login->initial(), std::nullopt);
  EXPECT_EQ(login->answer("User Name\0"s).value(), "user");
  EXPECT_EQ(login->answer("Password:").value(), "pencil");
  EXPECT_FALSE(login->answer("and now?"));
}

TEST(ScramClient, TheExchangeOfRfc7677) {
  auto mechanism = scram();
  EXPECT_EQ(mechanism->initial(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(
      mechanism->answer(kServerFirst).value(),
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_FALSE(mechanism->may_succeed());
  EXPECT_EQ(mechanism->answer(kServerFinal).value(), "");
  EXPECT_TRUE(mechanism->may_succeed());
}

TEST(ScramClient, AServerThatDoesNotKnowThePasswordIsNotBelieved) {
  auto mechanism = scram();
  ASSERT_TRUE(mechanism->answer(kServerFirst));
  EXPECT_FALSE(mechanism->may_succeed()) << "success without a proof is none";
  EXPECT_FALSE(mechanism->answer("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
  EXPECT_FALSE(mechanism->may_succeed());
}

TEST(ScramClient, RefusesWhatIsNotItsSyntax) {
  for (const char* first :
       {"", "r=", "e=other-error", "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=0", "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=-1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD,i=4294967295", "r=rOprNGfwEbeRWgbNEkqOx,s=QUJD",
        "r=rOprNGfwEbeRWgbNEkqO,s=QUJD,i=4096", "r=somebodyelses,s=QUJD,i=4096"}) {
    EXPECT_FALSE(scram()->answer(first)) << first;
  }
  const std::string whole = kServerFirst;
  for (size_t cut = 0; cut < whole.size() - 4; ++cut) EXPECT_FALSE(scram()->answer(whole.substr(0, cut))) << cut;
}

TEST(ScramClient, EscapesNames) {
  auto mechanism = make_scram_client("a=b,c", "pencil", kNonce).value();
  EXPECT_EQ(mechanism->initial(), fmt::format("n,,n=a=3Db=2Cc,r={}", kNonce));
}

/// Both sides of this library with each other.
TEST(ScramClient, OurServerBelievesIt) {
  FakeRecords fakes(std::string(32, 'k'));
  auto record = make_password_record("p\xc3\xa4ss word").value();
  for (const char* password : {"p\xc3\xa4ss word", "p\xc3\xa4ss worD"}) {
    auto server = make_mechanism(MechanismName::scram_sha_256, fakes);
    auto mechanism = make_client(MechanismName::scram_sha_256, "alice@example.test", password).value();
    ASSERT_TRUE(std::holds_alternative<NeedCredentials>(server->step(*mechanism->initial())));
    auto first = server->supply(&record);
    auto proof = mechanism->answer(std::get<Challenge>(first).octets);
    ASSERT_TRUE(proof);
    auto last = server->step(*proof);
    bool right = std::string_view(password).ends_with('d');
    ASSERT_EQ(std::holds_alternative<Challenge>(last), right);
    if (right) {
      EXPECT_TRUE(mechanism->answer(std::get<Challenge>(last).octets));
    }
  }
}

TEST(ChooseMechanism, TakesTheBestThatIsSafe) {
  EXPECT_EQ(choose_mechanism("PLAIN LOGIN scram-sha-256", true), MechanismName::scram_sha_256);
  EXPECT_EQ(choose_mechanism("LOGIN PLAIN", true), MechanismName::plain);
  EXPECT_EQ(choose_mechanism("XOAUTH2  LOGIN", true), MechanismName::login);
  EXPECT_EQ(choose_mechanism("PLAIN LOGIN", false), std::nullopt);
  EXPECT_EQ(choose_mechanism("PLAIN SCRAM-SHA-256", false), MechanismName::scram_sha_256);
  EXPECT_EQ(choose_mechanism("PLAINER", true), std::nullopt);
  EXPECT_EQ(choose_mechanism("", true), std::nullopt);
}

}  // namespace
}  // namespace postrider::sasl
