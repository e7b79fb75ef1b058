#include "common/daemon/pam_helper.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace postrider {
namespace {

class PamHelperTest : public testing::Test {
 protected:
  PamHelperTest() {
    std::string name = (std::filesystem::temp_directory_path() / "postrider-pam-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    const std::string script = folder_ + "/check";
    std::ofstream(script) << "#!/bin/sh\nread -r password\n[ \"$PAM_USER:$password\" = \"alice:correct horse\" ]\n";
    ::chmod(script.c_str(), 0755);
    std::ofstream(folder_ + "/mail") << "auth required pam_exec.so expose_authtok quiet " << script
                                     << "\naccount required pam_permit.so\n";
    std::ofstream(folder_ + "/closed") << "auth required pam_permit.so\naccount required pam_deny.so\n";
  }
  ~PamHelperTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(PamHelperTest, ThePasswordOfAUserIsTheOneThatPamKnows) {
  auto helper = PamHelper::start("mail", folder_);
  ASSERT_TRUE(helper) << helper.error().message;
  EXPECT_TRUE((*helper)->check("alice", "correct horse"));
  EXPECT_FALSE((*helper)->check("alice", "wrong"));
  EXPECT_FALSE((*helper)->check("bob", "correct horse"));
  EXPECT_FALSE((*helper)->check("", "correct horse"));
  EXPECT_FALSE((*helper)->check("alice", ""));
  EXPECT_FALSE((*helper)->check("alice", std::string("correct horse\0x", 15)));
  EXPECT_FALSE((*helper)->check("alice", std::string(10'000, 'x')));
  EXPECT_TRUE((*helper)->check("alice", "correct horse"));
}

TEST_F(PamHelperTest, AnAccountThatIsClosedLetsNobodyIn) {
  auto helper = PamHelper::start("closed", folder_);
  ASSERT_TRUE(helper);
  EXPECT_FALSE((*helper)->check("alice", "anything"));
}

TEST_F(PamHelperTest, AServiceThatIsMissingLetsNobodyIn) {
  auto helper = PamHelper::start("nothing-of-the-kind", folder_);
  ASSERT_TRUE(helper);
  EXPECT_FALSE((*helper)->check("alice", "correct horse"));
}

TEST_F(PamHelperTest, ManyThreadsAskAtOnce) {
  auto helper = PamHelper::start("mail", folder_);
  ASSERT_TRUE(helper);
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int n = 0; n < 8; ++n) {
    threads.emplace_back([&, n] {
      if ((*helper)->check("alice", n % 2 == 0 ? "correct horse" : "wrong") == (n % 2 == 0)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
}

TEST(OutsidePasswords, AreAskedOfTheirSourceAlone) {
  struct Source final : sasl::PasswordSource {
    bool check(const std::string& user, std::string_view password) override {
      ++asked;
      return user == "alice" && password == "secret";
    }
    int asked = 0;
  } source;
  const auto record = sasl::outside_password_record("alice");
  EXPECT_EQ(sasl::outside_user(record), "alice");
  EXPECT_FALSE(sasl::verify_password(record, "secret"));
  sasl::VerifiedCache cache;
  const auto now = std::chrono::steady_clock::now();
  EXPECT_FALSE(cache.verify(1, record, "secret", now));
  cache.ask_outside(&source);
  EXPECT_TRUE(cache.verify(1, record, "secret", now));
  EXPECT_TRUE(cache.verify(1, record, "secret", now));
  EXPECT_FALSE(cache.verify(1, record, "wrong", now));
  EXPECT_EQ(source.asked, 3);
  EXPECT_FALSE(cache.contains(1, record, "secret", now));
}

}  // namespace
}  // namespace postrider
