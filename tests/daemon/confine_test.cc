#include "common/daemon/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

namespace postrider {
namespace {

bool can_write(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  if (file >= 0) ::close(file);
  return file >= 0;
}

/// What a confined process can do, as bits; it is a child, since there is no way back.
int confined(const std::string& inside, const std::string& outside) {
  const Confinement done = confine({inside});
  int wrong = 0;
  char program[] = "/bin/true";
  char* arguments[] = {program, nullptr};
  std::thread([&] {
    if (done.seccomp && (::execv(program, arguments) != -1 || errno != EPERM)) wrong |= 1;
    if (done.seccomp && (::chroot("/") != -1 || errno != EPERM)) wrong |= 2;
  }).join();
  if (!can_write(inside + "/file")) wrong |= 4;
  if (::rename((inside + "/file").c_str(), (inside + "/folder/file").c_str()) != 0) wrong |= 8;
  if (done.landlock && can_write(outside + "/file")) wrong |= 16;
  if (!can_write("/dev/null")) wrong |= 32;
  if (done.missing.empty() != (done.landlock && done.seccomp)) wrong |= 64;
  return wrong;
}

TEST(Confine, WritesInItsFoldersAndStartsNothing) {
  std::string name = (std::filesystem::temp_directory_path() / "postrider-confine-XXXXXX").string();
  const std::string folder = ::mkdtemp(name.data());
  std::filesystem::create_directories(folder + "/inside/folder");
  std::filesystem::create_directories(folder + "/outside");
  const pid_t child = ::fork();
  if (child == 0) ::_exit(confined(folder + "/inside", folder + "/outside"));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace postrider
