#include "base/result.h"

#include <cerrno>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/errno_hints.h"

namespace sandboxd {
namespace {

using ::testing::HasSubstr;

Status fails() { return sys_error_code(ENOENT, "open {}", "'/nope'"); }
Status adds() {
  TRY(fails().context("read limit"));
  return {};
}
Result<std::unique_ptr<int>> makes(bool good) {
  if (!good) return make_error("no luck");
  return std::make_unique<int>(7);
}
Result<int> assigns(bool good) {
  TRY_ASSIGN(const std::unique_ptr<int> value, makes(good));
  return *value;
}

TEST(Result, ChainsContextOutermostFirst) {
  const Status status = adds().context("start job {}", 7);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ENOENT);
  EXPECT_EQ(status.error().message(), "start job 7: read limit: open '/nope': No such file or directory (ENOENT)");
}

TEST(Result, SaysNoErrnoWhereThereIsNone) {
  EXPECT_EQ(makes(false).error().message(), "no luck");
  EXPECT_EQ(makes(false).context("try").error().message(), "try: no luck");
}

TEST(Result, HandsOnMoveOnlyValues) {
  const Result<int> good = assigns(true);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  EXPECT_FALSE(assigns(false).ok());
}

TEST(Result, BuildsContextOnFailureOnly) {
  Result<int> good(1);
  EXPECT_EQ(*std::move(good).context("never {}", 1), 1);
}

TEST(Result, ReadsErrnoBeforeFormattingCanTouchIt) {
  errno = EBUSY;
  EXPECT_EQ(sys_error("x {}", std::string(1000, 'y')).code, EBUSY);
}

TEST(Result, NamesErrnos) {
  EXPECT_EQ(errno_name(ENOENT), "ENOENT");
  EXPECT_EQ(errno_name(4095), "E4095");
}

TEST(ErrnoHints, SayWhatAnErrnoMeansWhereItLies) {
  EXPECT_THAT(sys_error_code(ENOSPC, "clone3").message(), HasSubstr("namespace count limit"));
  EXPECT_THAT(sys_error_code(ENOSPC, "write").message(), ::testing::Not(HasSubstr("namespace")));
  EXPECT_EQ(errno_hint("clone3", 0), "");
}

}  // namespace
}  // namespace sandboxd
