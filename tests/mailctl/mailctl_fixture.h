// Calls of mailctl over a state folder of their own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/sasl/password.h"
#include "mailctl/run.h"
#include "store/directory.h"

namespace postrider::mailctl {

class MailctlTest : public testing::Test {
 protected:
  MailctlTest() {
    std::string name = testing::TempDir() + "postrider-mailctl-XXXXXX";
    state_ = ::mkdtemp(name.data());
  }
  ~MailctlTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(state_, ignored);
  }

  Outcome call(std::vector<std::string> arguments, std::string input = {}) {
    std::FILE* file = input.empty() ? std::fopen("/dev/null", "r") : ::fmemopen(input.data(), input.size(), "r");
    arguments.insert(arguments.begin(), {"--state", state_});
    Outcome outcome = run(arguments, Input(file, false));
    std::fclose(file);
    return outcome;
  }

  /// A call that has to succeed, and its output.
  std::string done(std::vector<std::string> arguments, std::string input = {}) {
    const Outcome outcome = call(std::move(arguments), std::move(input));
    EXPECT_EQ(outcome.status, kDone) << outcome.error;
    return outcome.out;
  }

  nlohmann::json json(std::vector<std::string> arguments, std::string input = {}) {
    arguments.insert(arguments.begin(), "--json");
    return nlohmann::json::parse(done(std::move(arguments), std::move(input)));
  }

  /// A call that has to be refused, and why.
  std::string refused(std::vector<std::string> arguments, int status = kFailed, std::string input = {}) {
    const Outcome outcome = call(std::move(arguments), std::move(input));
    EXPECT_EQ(outcome.status, status);
    EXPECT_EQ(outcome.out, "");
    return outcome.error;
  }

  void add_alice() {
    done({"domain", "add", "--no-dkim", "example.test"});  // keys take their time
    done({"account", "add", "--password-stdin", "alice@example.test"}, "wonderland 7\n");
  }

  bool logs_in(const std::string& address, const std::string& password) {
    SystemClock clock;
    store::Directory directory(state_, clock);
    const auto login = directory.find_login(address, "");
    return login && sasl::verify_password(login->password, password);
  }

  std::string state_;
};

}  // namespace postrider::mailctl
