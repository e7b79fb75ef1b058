#include "store/directory_cache.h"

#include <gtest/gtest.h>

#include "tests/store/temp_state.h"

namespace postrider::store {
namespace {

class DirectoryCacheTest : public testing::Test {
 protected:
  static Resolution known() { return {RecipientKind::known, {Target{7, "alice@example.org", 0}}}; }

  TempState state_;
  ManualClock clock_{0};
  DirectoryService service_{state_.path(), clock_};
  DirectoryCache cache_{service_};
};

TEST_F(DirectoryCacheTest, GivesWhatWasPut) {
  EXPECT_EQ(cache_.find("alice", "example.org"), nullptr);
  cache_.put(service_.version(), "alice", "example.org", known());
  const Resolution* found = cache_.find("alice", "example.org");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->targets.at(0).account, 7);
  EXPECT_EQ(cache_.find("alic", "eexample.org"), nullptr);
}

TEST_F(DirectoryCacheTest, ForgetsWhenTheDirectoryChanges) {
  cache_.put(service_.version(), "alice", "example.org", known());
  Directory other_process(state_.path(), clock_);
  ASSERT_TRUE(other_process.add_domain("example.org"));
  EXPECT_EQ(cache_.find("alice", "example.org"), nullptr);
}

TEST_F(DirectoryCacheTest, DoesNotTakeAnAnswerFromBeforeAChange) {
  uint64_t before = service_.version();
  Resolution old_answer = known();
  ASSERT_TRUE(service_.with([](Directory& directory) { return directory.add_domain("example.org"); }));
  cache_.put(before, "alice", "example.org", old_answer);
  EXPECT_EQ(cache_.find("alice", "example.org"), nullptr);
}

TEST_F(DirectoryCacheTest, RemembersNothingWhileAChangeIsCommitted) {
  DirectoryVersion version(state_.path());
  DirectoryVersion::Change change(version);
  cache_.put(service_.version(), "alice", "example.org", known());
  EXPECT_EQ(cache_.find("alice", "example.org"), nullptr);
}

TEST_F(DirectoryCacheTest, KeepsWhatIsAskedForWhenItIsFull) {
  cache_.put(service_.version(), "alice", "example.org", known());
  for (size_t i = 0; i < 3 * kMaxCachedAnswers; ++i) {
    cache_.put(service_.version(), std::to_string(i), "example.org", known());
    ASSERT_NE(cache_.find("alice", "example.org"), nullptr);
    ASSERT_LE(cache_.size(), kMaxCachedAnswers);
  }
  EXPECT_EQ(cache_.find("0", "example.org"), nullptr);
}

}  // namespace
}  // namespace postrider::store
