// What daemons do around their loops.
#include "common/net/daemon.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "tests/net/loop.h"

namespace postrider::net {
namespace {

using testing::HasSubstr;

TEST(PidFile, HoldsTheNumberAndGoesWithTheProcess) {
  TemporaryFolder folder;
  const std::string path = folder / "mta.pid";
  {
    auto file = PidFile::take(path);
    ASSERT_TRUE(file) << file.error().message;
    int number = 0;
    std::ifstream(path) >> number;
    EXPECT_EQ(number, ::getpid());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PidFile, IsTakenOnce) {
  TemporaryFolder folder;
  auto first = PidFile::take(folder / "mta.pid");
  ASSERT_TRUE(first);
  auto second = PidFile::take(folder / "mta.pid");
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(::getpid())));
}

TEST(PidFile, OneThatWasLeftBehindIsTakenOver) {
  TemporaryFolder folder;
  std::ofstream(folder / "mta.pid") << "1\n";
  EXPECT_TRUE(PidFile::take(folder / "mta.pid"));
}

TEST(DropPrivileges, NobodyToBecomeIsNothingToDo) {
  EXPECT_TRUE(drop_privileges("", ""));
}

TEST(DropPrivileges, AnUnknownUserIsNamed) {
  auto done = drop_privileges("no-such-user-here", "");
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("no-such-user-here"));
}

TEST(DescriptorLimit, IsNeverLowered) {
  const uint64_t before = raise_descriptor_limit(1);
  EXPECT_GE(before, 1U);
  EXPECT_GE(raise_descriptor_limit(before), before);
}

TEST(Signals, CallWhatTheyAreFor) {
  Loop loop;
  int reloads = 0, stops = 0;
  Signals signals(
      loop.context(), [&] { ++reloads; },
      [&] {
        ++stops;
        loop.context().stop();
      });
  ::raise(SIGHUP);
  ::raise(SIGTERM);
  loop.context().run_for(Loop::kLimit);
  EXPECT_EQ(reloads, 1);
  EXPECT_EQ(stops, 1);
}

TEST(ServiceManager, IsToldThroughItsSocket) {
  TemporaryFolder folder;
  const std::string path = folder / "notify";
  asio::io_context context;
  asio::local::datagram_protocol::socket socket(context, asio::local::datagram_protocol::endpoint(path));
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  notify_service_manager("READY=1");
  ::unsetenv("NOTIFY_SOCKET");
  std::string text(64, '\0');
  text.resize(socket.receive(asio::buffer(text)));
  EXPECT_EQ(text, "READY=1");
}

TEST(ServiceManager, ThatIsNotThereIsNotTold) {
  ::unsetenv("NOTIFY_SOCKET");
  notify_service_manager("READY=1");
}

}  // namespace
}  // namespace postrider::net
