#include "mta/attempt_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/store/temp_state.h"

namespace postrider {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(AttemptMarks, AProcessThatIsKilledLeavesWhatItWasAt) {
  store::TempState state;
  std::string file = state.file("run/attempts");
  pid_t child = ::fork();
  if (child == 0) {
    AttemptMarks marks(file);
    AttemptMark ended = marks.begin(5, 0);
    { AttemptMark other = std::move(ended); }
    AttemptMark local = marks.begin(7, 3), elsewhere = marks.begin(8, 0);
    ::kill(::getpid(), SIGKILL);
    ::_exit(0);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  {
    AttemptMarks marks(file);
    ASSERT_THAT(marks.left(), SizeIs(2));
    EXPECT_EQ(marks.left()[0].message, 7);
    EXPECT_EQ(marks.left()[0].account, 3);
    EXPECT_EQ(marks.left()[1].message, 8);
    AttemptMark mark = marks.begin(9, 0);
  }
  EXPECT_THAT(AttemptMarks(file).left(), IsEmpty()) << "an end in good order leaves nothing";
}

TEST(AttemptMarks, MoreThanThereIsRoomForAreNotMarked) {
  store::TempState state;
  AttemptMarks marks(state.file("run/attempts"));
  std::vector<AttemptMark> all;
  for (size_t i = 0; i < kMaxMarks + 10; ++i) all.push_back(marks.begin(static_cast<store::QueueId>(i) + 1, 0));
  all.clear();
  AttemptMark again = marks.begin(1, 0);
}

TEST(AttemptMarks, WithoutAFileNothingIsMarked) {
  store::TempState state;
  AttemptMarks marks("/proc/no/such/folder/attempts");
  AttemptMark mark = marks.begin(1, 0);
  EXPECT_THAT(marks.left(), IsEmpty());
}

}  // namespace
}  // namespace postrider
