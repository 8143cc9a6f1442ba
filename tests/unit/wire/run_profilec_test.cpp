#include "daemon/wire/run_profilec.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/file.h"
#include "daemon/wire/codec.h"

namespace sandboxd::wire {
namespace {

ProfileSet some_set() {
  ProfileSet set;
  Profile profile;
  profile.name = "default";
  profile.filter.assign(16, 1);
  profile.hash = hash_of(profile);
  set.profiles.push_back(profile);
  set.hash = hash_of(set);
  return set;
}

UniqueFd memfd_of(const ProfileSet& set) {
  auto fd = sealed_memfd("test", encode(set));
  EXPECT_TRUE(fd.ok());
  return std::move(fd).value();
}

TEST(ProfileSetFd, ReadsWhatWasWritten) {
  const auto set = read_profile_set(memfd_of(some_set()).get());
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_EQ(set.value(), some_set());
}

TEST(ProfileSetFd, RefusesAMemfdThatItsMakerCouldChange) {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto bytes = encode(some_set());
  ASSERT_TRUE(write_all(fd.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).ok());
  EXPECT_EQ(read_profile_set(fd.get()).error().code, EPERM);
}

TEST(ProfileSetFd, RefusesAHashThatIsNotOfTheSet) {
  ProfileSet set = some_set();
  set.config.user_jails += 1;
  EXPECT_EQ(read_profile_set(memfd_of(set).get()).error().code, EPROTO);
}

TEST(ProfileSetFd, RefusesAHashThatIsNotOfTheProfile) {
  ProfileSet set = some_set();
  set.profiles[0].user_root = !set.profiles[0].user_root;
  set.hash = hash_of(set);
  EXPECT_EQ(read_profile_set(memfd_of(set).get()).error().code, EPROTO);
}

TEST(ProfileSetFd, RefusesAProfileWithoutAFilter) {
  ProfileSet set = some_set();
  set.profiles[0].filter.clear();
  set.profiles[0].hash = hash_of(set.profiles[0]);
  set.hash = hash_of(set);
  EXPECT_EQ(read_profile_set(memfd_of(set).get()).error().code, EPROTO);
}

TEST(RunProfilec, RefusesToRunAsRoot) {
  EXPECT_EQ(run_profilec({"/bin/true", "", "/usr", 0, monotonic_usec() + 1'000'000}).error().code, EINVAL);
}

TEST(RunProfilec, RefusesAProgramThatOthersCanWrite) {
  char folder[] = "/tmp/profilec-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string program = std::string(folder) + "/program";
  const UniqueFd fd(::open(program.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
  ASSERT_EQ(::fchmod(fd.get(), 0777), 0);
  EXPECT_EQ(run_profilec({program, "", "/usr", kPoolFirst + 3, monotonic_usec() + 1'000'000}).error().code, EPERM);
  ::unlink(program.c_str());
  ::rmdir(folder);
}

class RunProfilecAsRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_F(RunProfilecAsRoot, ReportsAProgramThatFails) {
  const auto loaded = run_profilec({"/usr/bin/false", "", "/usr", kPoolFirst + 3, monotonic_usec() + 5'000'000});
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().context.find("exit status 1"), std::string::npos) << loaded.error().message();
}

TEST_F(RunProfilecAsRoot, RefusesAnEmptyAnswer) {
  const auto loaded = run_profilec({"/usr/bin/true", "", "/usr", kPoolFirst + 3, monotonic_usec() + 5'000'000});
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, EPERM);
}

TEST_F(RunProfilecAsRoot, KillsAProgramThatIsLate) {
  // `yes` never ends; its output goes to stderr.
  const UniqueFd saved(::fcntl(2, F_DUPFD_CLOEXEC, 10));
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::dup2(null.get(), 2), 2);
  const auto loaded = run_profilec({"/usr/bin/yes", "", "/usr", kPoolFirst + 3, monotonic_usec() + 50'000});
  ASSERT_EQ(::dup2(saved.get(), 2), 2);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ETIMEDOUT);
}

}  // namespace
}  // namespace sandboxd::wire
