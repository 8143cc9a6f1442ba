#include "base/file.h"

#include <cerrno>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sandboxd {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(ReadFile, ReadsProcfsWhoseSizesAreZero) {
  const Result<std::string> text = read_file(AT_FDCWD, "/proc/self/stat");
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(text->starts_with(std::to_string(::getpid()) + " "));
}

TEST(ReadFile, RefusesMoreThanTheMost) {
  const UniqueFd zeros(::memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(zeros.get(), 1000), 0);
  EXPECT_EQ(read_fd(zeros.get(), 1000)->size(), 1000U);
  ASSERT_EQ(::lseek(zeros.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(read_fd(zeros.get(), 999).error().code, EFBIG);
}

TEST(ReadFile, NamesTheFile) {
  const Result<std::string> none = read_file(AT_FDCWD, "/nonexistent");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message(), "open '/nonexistent': No such file or directory (ENOENT)");
}

TEST(WriteFile, WritesAtOnceBelowADirectory) {
  char pattern[] = "/tmp/sandboxd-file-XXXXXX";
  const UniqueFd directory(::open(::mkdtemp(pattern), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(write_file_at(directory.get(), "x", "text").error().code, ENOENT) << "never makes a file";
  const UniqueFd made(::openat(directory.get(), "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_TRUE(write_file_at(directory.get(), "x", "text").ok());
  EXPECT_EQ(*read_file(directory.get(), "x"), "text");
  ::unlinkat(directory.get(), "x", 0);
  ::rmdir(pattern);
}

TEST(SealedMemfd, CantBeChangedByItsMaker) {
  const Bytes bytes = {1, 2, 3};
  const Result<UniqueFd> fd = sealed_memfd("test", bytes);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(::pwrite(fd->get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(fd->get(), 0), -1);
  EXPECT_EQ(::ftruncate(fd->get(), 100), -1);
  EXPECT_EQ(::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  const Result<Bytes> again = read_sealed(fd->get(), 3);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, bytes);
}

TEST(ReadSealed, RefusesWhatItsMakerCouldChange) {
  const UniqueFd open(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(read_sealed(open.get(), 100).error().code, EPERM);
  ASSERT_EQ(::fcntl(open.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  EXPECT_EQ(read_sealed(open.get(), 100).error().code, EPERM);
  const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(read_sealed(file.get(), 1 << 20).ok());
}

TEST(ReadSealed, RefusesMoreThanTheMost) {
  const Result<UniqueFd> fd = sealed_memfd("test", Bytes(100));
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(read_sealed(fd->get(), 99).error().code, EFBIG);
}

TEST(RootOwned, TakesWhatOnlyRootCanChange) {
  const UniqueFd passwd(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(check_root_owned(passwd.get(), "passwd").ok());
  const UniqueFd tmp(::open("/tmp", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(check_root_owned(tmp.get(), "/tmp").error().code, EPERM);
}

TEST(RootOwned, RefusesAnothersFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: gives a file away";
  const UniqueFd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.valid());
  EXPECT_TRUE(check_root_owned(file.get(), "x").ok());
  ASSERT_EQ(::fchown(file.get(), 60001, 0), 0);
  EXPECT_EQ(check_root_owned(file.get(), "x").error().code, EPERM);
}

}  // namespace
}  // namespace sandboxd
