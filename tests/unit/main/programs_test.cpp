#include "daemon/main/programs.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace sandboxd::main {
namespace {

class ProgramsOfADaemon : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the programs must be root's";
    char name[] = "/tmp/programs-XXXXXX";
    folder_ = ::mkdtemp(name);
    ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
    std::filesystem::create_directories(folder_ + "/bin");
    std::filesystem::create_directories(folder_ + "/libexec/sandboxd");
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  void make(const std::string& path, mode_t mode = 0755) const {
    std::ofstream(folder_ + path) << "x";
    ASSERT_EQ(::chmod((folder_ + path).c_str(), mode), 0);
  }

  std::string folder_;
};

TEST_F(ProgramsOfADaemon, AreFoundBesideTheBinaryFirst) {
  make("/bin/p");
  make("/libexec/sandboxd/p");
  EXPECT_EQ(path_of_program(folder_ + "/bin", "p").value(), folder_ + "/bin/p");
}

TEST_F(ProgramsOfADaemon, AreFoundInLibexec) {
  make("/libexec/sandboxd/p");
  EXPECT_EQ(path_of_program(folder_ + "/bin", "p").value(), folder_ + "/libexec/sandboxd/p");
  EXPECT_TRUE(open_program(folder_ + "/bin", "p").ok());
}

TEST_F(ProgramsOfADaemon, AreNamedWhenTheyAreMissing) {
  const auto missing = open_program(folder_ + "/bin", "nope");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_NE(missing.error().context.find("'nope'"), std::string::npos);
}

TEST_F(ProgramsOfADaemon, AreRefusedWhenOthersCanWriteThem) {
  make("/bin/p", 0757);
  EXPECT_EQ(open_program(folder_ + "/bin", "p").error().code, EPERM);
}

TEST_F(ProgramsOfADaemon, AreRefusedWhenTheyAreNotRoots) {
  make("/bin/p");
  ASSERT_EQ(::chown((folder_ + "/bin/p").c_str(), 1000, 1000), 0);
  EXPECT_EQ(open_program(folder_ + "/bin", "p").error().code, EPERM);
}

TEST_F(ProgramsOfADaemon, AreRefusedInADirectoryThatOthersCanWrite) {
  make("/bin/p");
  ASSERT_EQ(::chmod((folder_ + "/bin").c_str(), 0777), 0);
  EXPECT_EQ(open_program(folder_ + "/bin", "p").error().code, EPERM);
}

TEST_F(ProgramsOfADaemon, AreRefusedBehindALink) {
  ASSERT_EQ(::symlink("/bin/true", (folder_ + "/bin/p").c_str()), 0);
  EXPECT_FALSE(open_program(folder_ + "/bin", "p").ok());
}

TEST(Prefix, IsAboveTheBinarysDirectory) { EXPECT_EQ(prefix_of("/opt/sandboxd/bin"), "/opt/sandboxd"); }

}  // namespace
}  // namespace sandboxd::main
