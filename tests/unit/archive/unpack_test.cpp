// What may be in a stream and what not, and that a stream which is refused leaves nothing behind.
#include "archive/unpack.h"

#include <filesystem>
#include <fstream>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/archive/streams.h"

namespace sandboxd::archive {
namespace {

using ::testing::HasSubstr;

struct Bad {
  const char* what;
  std::string stream;
  const char* limit;
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.what; }

std::string dir(const std::string& name) { return raw({.name = name + "/", .type = '5', .mode = 0755}); }
std::string file(const std::string& name, const std::string& content = "x") {
  return raw({.name = name, .content = content});
}
std::string symlink(const std::string& name, const std::string& to) {
  return raw({.name = name, .type = '2', .link = to});
}
std::string hard(const std::string& name, const std::string& to) {
  return raw({.name = name, .type = '1', .link = to});
}

class Unpack : public ::testing::Test {
 protected:
  TempTree tree_;
};

TEST_F(Unpack, MakesFilesDirectoriesAndLinks) {
  const Outcome done = try_unpack(
      tree_, ended(dir("d") + file("d/f", "hello") + symlink("d/l", "f") + hard("h", "d/f") + symlink("up", "d/f")));
  ASSERT_TRUE(done.ok) << done.message;
  EXPECT_EQ(tree_.listing(), "d 755 dir\nd/f 644 hello\nd/l 777 -> f\nh 644 hello\nup 777 -> d/f\n");
  EXPECT_EQ(done.totals.files, 4u);
  EXPECT_EQ(done.totals.bytes, 5u);
}

TEST_F(Unpack, MakesDirectoriesThatAreOnlyImplied) {
  ASSERT_TRUE(try_unpack(tree_, ended(file("a/b/f") + dir("a"))).ok);
  EXPECT_EQ(tree_.listing(), "a 755 dir\na/b 755 dir\na/b/f 644 x\n");
}

TEST_F(Unpack, TakesTheNamesThatTarProgramsWrite) {
  const std::string root = raw({.name = "./", .type = '5', .mode = 0700});
  ASSERT_TRUE(try_unpack(tree_, ended(root + dir("./a") + file("./a/f"))).ok);
  EXPECT_EQ(tree_.listing(), "a 755 dir\na/f 644 x\n");
}

TEST_F(Unpack, DropsSetuidSetgidStickyAndTheUmask) {
  ASSERT_TRUE(
      try_unpack(tree_, ended(raw({.name = "f", .mode = 07777}) + raw({.name = "d/", .type = '5', .mode = 07777}) +
                              raw({.name = "n/", .type = '5', .mode = 0})))
          .ok);
  EXPECT_EQ(tree_.listing(), "d 755 dir\nf 755 \nn 700 dir\n");
}

TEST_F(Unpack, SetsTimes) {
  ASSERT_TRUE(try_unpack(tree_, ended(pax("mtime", "1234567890.5") + dir("d") + file("d/f"))).ok);
  struct stat info {};
  ASSERT_EQ(::stat((tree_.place_path() + "/d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mtim.tv_sec, 1234567890);
}

TEST_F(Unpack, TakesLongAndBinaryNames) {
  const std::string name = std::string(120, 'n') + "\xff\n";
  const std::string gnu =
      raw({.name = "././@LongLink", .type = 'L', .content = "g" + name + '\0', .magic = std::string("ustar  \0", 8)});
  ASSERT_TRUE(try_unpack(tree_, ended(pax("path", name) + file("short") + gnu + file("other"))).ok);
  EXPECT_EQ(tree_.listing(), "g" + name + " 644 x\n" + name + " 644 x\n");
}

class UnpackRefuses : public ::testing::TestWithParam<Bad> {};

TEST_P(UnpackRefuses, AndLeavesNothing) {
  const TempTree tree;
  const std::string before = tree.listing_of_top();
  const Outcome done = try_unpack(tree, GetParam().stream, {.limits = {.size = 100, .entries = 10, .depth = 4}});
  EXPECT_FALSE(done.ok);
  EXPECT_EQ(done.limit, GetParam().limit) << done.message;
  EXPECT_EQ(tree.listing_of_top(), before);
}

std::string many(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += file(fmt::format("f{}", i));
  return all;
}

const std::string kGood = file("good");
INSTANTIATE_TEST_SUITE_P(
    Hostile, UnpackRefuses,
    ::testing::Values(
        Bad{"dot dot", ended(kGood + file("../outside")), "name"},
        Bad{"dot dot inside", ended(kGood + dir("a") + file("a/../../outside")), "name"},
        Bad{"dot dot by pax", ended(pax("path", "../outside") + kGood), "name"},
        Bad{"absolute", ended(kGood + file("/tmp/archive-test-absolute")), "name"},
        Bad{"absolute by pax", ended(pax("path", "/etc/x") + kGood), "name"},
        Bad{"no name", ended(kGood + file("")), "name"}, Bad{"the top as a file", ended(file(".")), "name"},
        Bad{"double slash", ended(file("a//b")), "name"}, Bad{"dot in the middle", ended(file("a/./b")), "name"},
        Bad{"NUL in a name", ended(pax("path", std::string_view("a\0b", 3)) + kGood), "name"},
        Bad{"a part that is too long", ended(pax("path", std::string(256, 'a')) + kGood), "name"},
        Bad{"a name that is too long", ended(pax("path", std::string(5000, 'a')) + kGood), "name"},
        Bad{"symlink that is absolute", ended(symlink("l", "/etc/passwd")), "link"},
        Bad{"symlink up", ended(symlink("l", "..")), "link"},
        Bad{"symlink up by another", ended(dir("a") + symlink("a/up", "..") + symlink("l", "a/up/../outside")), "link"},
        Bad{"symlink without target", ended(symlink("l", "")), "link"},
        Bad{"through a symlink", ended(dir("a") + symlink("l", "a") + file("l/f")), "duplicate"},
        Bad{"a file below a file", ended(file("f") + file("f/g")), "duplicate"},
        Bad{"hard link out", ended(hard("h", "../outside")), "link"},
        Bad{"hard link to an absolute name", ended(hard("h", "/etc/passwd")), "link"},
        Bad{"hard link to what isn't there", ended(hard("h", "nothing")), "link"},
        Bad{"hard link to itself", ended(hard("h", "h")), "link"},
        Bad{"hard link to a symlink", ended(file("f") + symlink("l", "f") + hard("h", "l")), "link"},
        Bad{"hard link to a directory", ended(dir("d") + hard("h", "d")), "link"},
        Bad{"hard link through a symlink", ended(dir("d") + file("d/f") + symlink("l", "d") + hard("h", "l/f")),
            "link"},
        Bad{"character device", ended(raw({.name = "d", .type = '3'})), "type"},
        Bad{"block device", ended(raw({.name = "d", .type = '4'})), "type"},
        Bad{"FIFO", ended(raw({.name = "d", .type = '6'})), "type"},
        Bad{"GNU sparse", ended(raw({.name = "d", .type = 'S'})), "type"},
        Bad{"pax sparse", ended(pax("GNU.sparse.realsize", "1000000000000") + kGood), "type"},
        Bad{"unknown type", ended(raw({.name = "d", .type = 'Z'})), "type"},
        Bad{"file twice", ended(kGood + kGood), "duplicate"},
        Bad{"file, then a directory", ended(kGood + dir("good")), "duplicate"},
        Bad{"directory, then a file", ended(dir("good") + kGood), "duplicate"},
        Bad{"directory twice", ended(dir("d") + dir("d")), "duplicate"},
        Bad{"directory, then a symlink", ended(dir("d") + symlink("d", ".")), "duplicate"},
        Bad{"too many entries", ended(many(11)), "entries"},
        Bad{"too many global headers", ended(pax("comment", "", 'g') + many(10)), "entries"},
        Bad{"too deep", ended(file("a/b/c/d/e")), "depth"},
        Bad{"too large", ended(file("f", std::string(101, 'x'))), "size"},
        Bad{"too large together", ended(file("f", std::string(60, 'x')) + file("g", std::string(60, 'x'))), "size"},
        Bad{"size of exabytes",
            ended(raw({.name = "f", .size = std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)})), "size"},
        Bad{"size over 64 bits",
            ended(raw({.name = "f", .size = std::string("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)})),
            "format"},
        Bad{"size by pax", ended(pax("size", "9223372036854775807") + kGood), "size"},
        Bad{"size that wraps", ended(pax("size", "18446744073709551616") + kGood), "format"},
        Bad{"negative size", ended(pax("size", "-1") + kGood), "format"},
        Bad{"size of a directory", ended(raw({.name = "d/", .type = '5', .content = "x"})), "format"},
        Bad{"size of a hard link", ended(kGood + raw({.name = "h", .type = '1', .content = "x", .link = "good"})),
            "format"},
        Bad{"no checksum", ended(std::string(512, 'x')), "format"},
        Bad{"old form", ended(raw({.name = "f", .magic = std::string(8, '\0')})), "format"},
        Bad{"nothing", "", "format"}, Bad{"no end", kGood, "format"},
        Bad{"half an end", kGood + std::string(512, '\0'), "format"},
        Bad{"more after the end", ended(kGood) + kGood, "format"},
        Bad{"an entry between the zeros", kGood + std::string(512, '\0') + kGood, "format"},
        Bad{"endless zeros", ended(kGood) + std::string(2 << 20, '\0'), "format"},
        Bad{"two pax headers", ended(pax("path", "a") + pax("path", "b") + kGood), "format"},
        Bad{"pax header without entry", ended(pax("path", "a")), "format"},
        Bad{"pax header that is none", ended(raw({.name = "h", .type = 'x', .content = "hello"}) + kGood), "format"},
        Bad{"pax record longer than its header",
            ended(raw({.name = "h", .type = 'x', .content = "99 path=a\n"}) + kGood), "format"},
        Bad{"pax header of megabytes", ended(raw({.name = "h", .type = 'x', .size = "77777777777"})), "format"},
        Bad{"global name", ended(pax("path", "x", 'g') + kGood), "format"},
        Bad{"two GNU names",
            ended(raw({.name = "n", .type = 'L', .content = "a"}) + raw({.name = "n", .type = 'L', .content = "b"}) +
                  kGood),
            "format"}));

TEST_F(Unpack, CutAnywhereLeavesNothing) {
  const std::string stream =
      ended(dir("d") + file("d/f", std::string(600, 'f')) + symlink("d/l", "f") + pax("path", "d/g") + file("x"));
  const std::string before = tree_.listing_of_top();
  for (std::size_t size = 0; size < stream.size(); size += size % 512 == 0 || size % 512 == 511 ? 1 : 73) {
    ASSERT_FALSE(try_unpack(tree_, stream.substr(0, size)).ok) << size;
    ASSERT_EQ(tree_.listing_of_top(), before) << size;
  }
  EXPECT_TRUE(try_unpack(tree_, stream).ok);
}

TEST_F(Unpack, MergesWithWhatIsThere) {
  std::filesystem::create_directory(tree_.place_path() + "/d");
  std::ofstream(tree_.place_path() + "/d/old") << "old";
  std::ofstream(tree_.place_path() + "/d/f") << "replaced";
  ASSERT_TRUE(try_unpack(tree_, ended(dir("d") + file("d/f", "new") + file("d/g", "more"))).ok);
  EXPECT_EQ(tree_.listing(), "d 755 dir\nd/f 644 new\nd/g 644 more\nd/old 644 old\n");
}

TEST_F(Unpack, ReplacesASymlinkAndDoesNotFollowIt) {
  std::filesystem::create_symlink("../outside", tree_.place_path() + "/f");
  ASSERT_TRUE(try_unpack(tree_, ended(file("f", "new"))).ok);
  EXPECT_EQ(tree_.listing_of_top(), "outside 644 untouched\nplace 755 dir\nplace/f 644 new\n");
}

TEST_F(Unpack, DoesNotFollowASymlinkThatStandsWhereADirectoryGoes) {
  std::filesystem::create_directory(tree_.path() + "/other");
  std::filesystem::create_directory_symlink("../other", tree_.place_path() + "/d");
  const std::string before = tree_.listing_of_top();
  const Outcome done = try_unpack(tree_, ended(file("a") + dir("d") + file("d/f")));
  EXPECT_FALSE(done.ok);
  EXPECT_EQ(done.trouble.code, ENOTDIR);
  EXPECT_EQ(tree_.listing_of_top(), before);
}

TEST_F(Unpack, NeverTurnsADirectoryIntoAFile) {
  std::filesystem::create_directory(tree_.place_path() + "/z");
  const Outcome done = try_unpack(tree_, ended(file("a") + file("z")));
  EXPECT_FALSE(done.ok);
  EXPECT_EQ(done.trouble.code, EISDIR);
  EXPECT_EQ(done.trouble.path, "z");
  EXPECT_EQ(tree_.listing(), "z 755 dir\n");
}

TEST_F(Unpack, TakesBackWhatItMovedWhenAMoveFails) {
  if (::getuid() == 0 && ::seteuid(65534) != 0) GTEST_SKIP() << "needs another uid to be refused anything";
  const TempTree tree;
  std::filesystem::create_directory(tree.place_path() + "/z");
  std::ofstream(tree.place_path() + "/b") << "old";
  std::filesystem::permissions(tree.place_path() + "/z", std::filesystem::perms{0555});
  const std::string before = tree.listing_of_top();
  const Outcome done = try_unpack(tree, ended(file("a") + file("b", "new") + dir("z") + file("z/f")));
  EXPECT_FALSE(done.ok);
  EXPECT_EQ(done.trouble.code, EACCES);
  EXPECT_EQ(tree.listing_of_top(), before);
  std::filesystem::permissions(tree.place_path() + "/z", std::filesystem::perms{0755});
  ASSERT_TRUE(::getuid() != 0 || ::seteuid(0) == 0);
}

TEST_F(Unpack, GivesTheOneThingAnotherName) {
  ASSERT_TRUE(try_unpack(tree_, ended(dir("d") + file("d/f")), {.as = "new"}).ok);
  EXPECT_EQ(tree_.listing(), "new 755 dir\nnew/f 644 x\n");
  const Outcome two = try_unpack(tree_, ended(file("a") + file("b")), {.as = "other"});
  EXPECT_EQ(two.limit, "format");
  EXPECT_EQ(tree_.listing(), "new 755 dir\nnew/f 644 x\n");
}

TEST_F(Unpack, PutsContentsInPlace) {
  ASSERT_TRUE(try_unpack(tree_, ended(dir("d") + file("d/f") + file("d/g")), {.contents = true}).ok);
  EXPECT_EQ(tree_.listing(), "f 644 x\ng 644 x\n");
}

TEST_F(Unpack, OfContentsTheTopIsThePlaceItself) {
  const auto with_link = [&](const std::string& name, const std::string& target) {
    return try_unpack(tree_, ended(dir("d") + dir("d/e") + symlink(name, target)), {.contents = true});
  };
  EXPECT_EQ(with_link("d/l", "../x").limit, "link");
  EXPECT_EQ(with_link("d/e/l", "../../x").limit, "link");
  EXPECT_EQ(tree_.listing(), "");
  EXPECT_TRUE(with_link("d/e/l", "../x").ok);
}

TEST_F(Unpack, RemovesWhatAKilledOneLeft) {
  std::filesystem::create_directories(tree_.place_path() + "/.sandboxd-0123456789abcdef/d");
  std::filesystem::create_directory(tree_.place_path() + "/.sandboxd-mine");
  ASSERT_TRUE(try_unpack(tree_, ended(file("f"))).ok);
  EXPECT_EQ(tree_.listing(), ".sandboxd-mine 755 dir\nf 644 x\n");
}

TEST(Links, StayInside) {
  EXPECT_TRUE(stays_inside("a/b/l", "../../x"));
  EXPECT_TRUE(stays_inside("l", "./a/b"));
  EXPECT_TRUE(stays_inside("l", "."));
  EXPECT_FALSE(stays_inside("a/l", "../.."));
  EXPECT_FALSE(stays_inside("a/l", "b/../c"));
  EXPECT_FALSE(stays_inside("a/l", "./../../x"));
  EXPECT_FALSE(stays_inside("l", std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace sandboxd::archive
