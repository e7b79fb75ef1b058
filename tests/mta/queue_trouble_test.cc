// What the owner of the queue says of itself, for whoever watches over the daemon.
#include <gmock/gmock.h>

#include "store/sqlite.h"
#include "tests/mta/queue_pipeline.h"

namespace postrider {
namespace {

using testing::HasSubstr;

class QueueTroubleTest : public Pipeline {
 protected:
  void rename_table(std::string_view from, std::string_view to) {
    const std::string sql = "ALTER TABLE " + std::string(from) + " RENAME TO " + std::string(to);
    store::Database database(state_.file("queue.db"), store::OpenMode::must_exist, store::Sync::normal);
    database.prepare(sql).run();
  }
};

TEST_F(QueueTroubleTest, ATransactionThatFailsIsToldUntilOneSucceeds) {
  start();
  EXPECT_EQ(runner_->trouble(), "");
  rename_table("body", "elsewhere");
  EXPECT_FALSE(accept(to_bob()));
  EXPECT_THAT(runner_->trouble(), HasSubstr("The queue could not be written: "));
  rename_table("elsewhere", "body");
  EXPECT_TRUE(accept(to_bob()));
  EXPECT_EQ(runner_->trouble(), "");
}

TEST_F(QueueTroubleTest, WithNothingToDoItSleeps) {
  start();
  ASSERT_TRUE(accept(to_bob()));
  while (!queued().empty()) std::this_thread::yield();
  while (!runner_->idle()) std::this_thread::yield();
  EXPECT_EQ(runner_->trouble(), "");
}

}  // namespace
}  // namespace postrider
