// What the doctor finds, and what it says to do.
#include "mailctl/doctor.h"

#include <asio.hpp>
#include <thread>

#include "common/config/load.h"
#include "common/net/tls.h"
#include "tests/mailctl/mailctl_fixture.h"

namespace postrider::mailctl {
namespace {

using testing::HasSubstr;

// --- doctor

TEST_F(MailctlTest, TheDoctorSaysWhatToDoAndFails) {
  const Outcome outcome = call({"doctor", "--offline"});
  EXPECT_EQ(outcome.status, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr("PROBLEM  directory      There are no domains, so no mail is taken."));
  EXPECT_THAT(outcome.out, HasSubstr("mailctl domain add DOMAIN"));
  EXPECT_THAT(outcome.out, HasSubstr("PROBLEM  mta            It does not run."));
}

TEST_F(MailctlTest, TheDoctorSpeaksJson) {
  const Outcome outcome = call({"--json", "doctor", "--offline"});
  const auto findings = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(findings[0]["health"], "ok");
}

class DoctorTest : public MailctlTest {
 protected:
  DoctorTest() {
    config_.server.state = state_;
    config_.server.hostname = "mail.example.test";
    config::complete(config_);
  }

  static std::string text(const Report& report, Health health) {
    std::string all;
    for (const Finding& finding : report.findings()) {
      if (finding.health == health) all += finding.message + '\n';
    }
    return all;
  }

  Config config_;
  Report report_;
};

TEST_F(DoctorTest, AGoodCertificateIsFineUntilItExpires) {
  ASSERT_TRUE(net::make_self_signed(config_.tls.certificate, config_.tls.key, "mail.example.test"));
  check_certificate(config_, std::time(nullptr), report_);
  EXPECT_EQ(report_.count(Health::problem), 0U);
  Report later;
  check_certificate(config_, std::time(nullptr) + UnixTime{11} * 366 * 86'400, later);
  EXPECT_THAT(text(later, Health::problem), HasSubstr("It expired on"));
}

TEST_F(DoctorTest, ACertificateForAnotherHostIsAProblem) {
  ASSERT_TRUE(net::make_self_signed(config_.tls.certificate, config_.tls.key, "other.example.test"));
  check_certificate(config_, std::time(nullptr), report_);
  EXPECT_THAT(text(report_, Health::problem), HasSubstr("It is not for mail.example.test"));
}

TEST_F(DoctorTest, AKeyThatEverybodyCanReadIsAProblem) {
  ASSERT_TRUE(net::make_self_signed(config_.tls.certificate, config_.tls.key, "mail.example.test"));
  std::filesystem::permissions(config_.tls.key, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  check_certificate(config_, std::time(nullptr), report_);
  EXPECT_THAT(text(report_, Health::problem), HasSubstr("Everybody can read the key"));
}

TEST_F(DoctorTest, AKeyOfAnotherCertificateIsAProblem) {
  ASSERT_TRUE(net::make_self_signed(config_.tls.certificate, config_.tls.key, "mail.example.test"));
  std::filesystem::remove(config_.tls.key);
  ASSERT_TRUE(net::make_self_signed(state_ + "/b.pem", state_ + "/b.key", "mail.example.test"));
  std::filesystem::rename(state_ + "/b.key", config_.tls.key);
  check_certificate(config_, std::time(nullptr), report_);
  EXPECT_EQ(report_.count(Health::problem), 1U);
}

TEST_F(DoctorTest, AMissingStateFolderIsAProblem) {
  config_.server.state = state_ + "/nothing";
  check_state_folder(config_, report_);
  EXPECT_THAT(text(report_, Health::problem), HasSubstr("is not there"));
}

TEST_F(DoctorTest, AFileThatEverybodyCanReadIsAProblem) {
  std::ofstream(state_ + "/directory.db") << "";
  std::filesystem::permissions(state_ + "/directory.db", std::filesystem::perms(0644));
  check_state_folder(config_, report_);
  EXPECT_THAT(text(report_, Health::problem), HasSubstr("directory.db can be read or written by everybody"));
}

TEST_F(DoctorTest, APortThatSpeaksSomethingElseIsAProblem) {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  asio::ip::tcp::socket peer(context);
  acceptor.async_accept(peer, [&](const std::error_code&) { asio::write(peer, asio::buffer("SSH-2.0-x\r\n", 11)); });
  std::thread thread([&] { context.run(); });
  config_.smtp.address = "127.0.0.1";
  config_.smtp.port = acceptor.local_endpoint().port();
  config_.submission.port = config_.submissions.port = config_.imap.port = config_.imaps.port = 0;
  check_ports(config_, report_);
  thread.join();
  EXPECT_THAT(text(report_, Health::problem), HasSubstr("answers something else than mta"));
  EXPECT_EQ(report_.count(Health::fine), 4U);  // those that are turned off
}

}  // namespace
}  // namespace postrider::mailctl
