#include "base/core_limit.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>

#include "base/unique_fd.h"

namespace sandboxd {
namespace {

// A directory that stands for /proc, with this setting in it.
class CoreLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "core-limit-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
    std::filesystem::create_directories(path_ + "/sys/kernel");
  }
  void TearDown() override { std::filesystem::remove_all(path_); }
  Result<rlim_t> limit(const char* pattern, rlim_t hard) {
    std::ofstream(path_ + "/sys/kernel/core_pattern") << pattern << "\n";
    const UniqueFd directory(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return job_core_limit(directory.get(), hard);
  }
  std::string path_;
};

TEST_F(CoreLimit, IsOneWhereThatCanBeHad) {
  EXPECT_EQ(limit("core", 1).value(), 1U);
  EXPECT_EQ(limit("|/bin/handler %p", RLIM_INFINITY).value(), 1U);
}

TEST_F(CoreLimit, IsZeroUnderAHardLimitOfZeroWhereNoProgramIsStarted) { EXPECT_EQ(limit("core.%p", 0).value(), 0U); }

TEST_F(CoreLimit, IsRefusedWhereACrashWouldReachTheHost) {
  for (const auto& refused : {limit("|/bin/handler", 0), limit("@/run/dump.sock", RLIM_INFINITY)}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, EPERM);
    EXPECT_THAT(refused.error().context, ::testing::HasSubstr("kernel.core_pattern is '"));
  }
}

TEST_F(CoreLimit, IsAnErrorWithoutTheSetting) {
  const UniqueFd directory(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(job_core_limit(directory.get(), 1).error().code, ENOENT);
}

}  // namespace
}  // namespace sandboxd
