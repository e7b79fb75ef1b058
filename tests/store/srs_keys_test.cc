#include "store/srs_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

constexpr UnixTime kNow = 1'769'860'800;

TEST(SrsKeysTest, TheFirstKeyIsMadeOnceAndForMtaAlone) {
  TempState state;
  const auto keys = SrsKeys(state.path()).load(kNow);
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].size(), 32U);
  struct stat info {};
  ASSERT_EQ(::stat(state.file("srs.keys").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(SrsKeys(state.path()).load(kNow + kSrsKeyLife - 1), keys);
}

TEST(SrsKeysTest, TheNextOneTakesOverAndTheOldOneIsKeptForAWhile) {
  TempState state;
  const SrsKeys file(state.path());
  const std::string first = file.load(kNow).at(0);
  const auto two = file.load(kNow + kSrsKeyLife);
  ASSERT_EQ(two.size(), 2U);
  EXPECT_NE(two[0], first);
  EXPECT_EQ(two[1], first);
  const auto later = file.load(kNow + 2 * kSrsKeyLife);
  EXPECT_EQ(later.size(), 2U);
  EXPECT_EQ(later[1], two[0]);
  EXPECT_EQ(std::count(later.begin(), later.end(), first), 0);
}

TEST(SrsKeysTest, AStateThatCannotBeWrittenIsSaid) {
  TempState state;
  EXPECT_THROW(SrsKeys(state.file("nowhere")).load(kNow), std::system_error);
}

}  // namespace
}  // namespace postrider::store
