// Out of a tree and into another one.
#include "archive/pack.h"

#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/block.h"
#include "archive/tar_reader.h"
#include "archive/tar_writer.h"
#include "tests/unit/archive/streams.h"

namespace sandboxd::archive {
namespace {

class Pack : public ::testing::Test {
 protected:
  Status pack_place(const Limits& limits = {}) {
    const UniqueFd top(::open(tree_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return pack(top.get(), "place", "place", false, sink_, limits, totals_, trouble_);
  }
  void write(const std::string& name, std::string_view content) {
    std::ofstream(tree_.place_path() + "/" + name, std::ios::binary) << content;
  }

  TempTree tree_;
  TextSink sink_;
  Totals totals_;
  Trouble trouble_;
};

TEST_F(Pack, ComesOutAsItWentIn) {
  for (int i = 0; i < 1000; ++i) {
    const std::string directory = fmt::format("d{}/e", i % 10);
    std::filesystem::create_directories(tree_.place_path() + "/" + directory);
    write(fmt::format("{}/f{}", directory, i), std::string(static_cast<std::size_t>(i) * 7, static_cast<char>(i)));
  }
  write("\xff\xfe not utf-8 \x01", "binary name");
  write(std::string(255, 'n'), "long");
  std::filesystem::create_directories(tree_.place_path() + "/" + std::string(200, 'p') + "/\xff" +
                                      std::string(150, 'q'));
  std::filesystem::create_symlink("d1/e/f1", tree_.place_path() + "/link");
  std::filesystem::create_symlink("d1/e/" + std::string(150, 't'), tree_.place_path() + "/longlink");
  ASSERT_EQ(::chmod((tree_.place_path() + "/d1/e/f1").c_str(), 0751), 0);
  ASSERT_TRUE(pack_place().ok()) << trouble_.detail;
  EXPECT_EQ(totals_.files, 1004u);

  const TempTree other;
  const Outcome done = try_unpack(other, sink_.text, {.contents = true});
  ASSERT_TRUE(done.ok) << done.message;
  EXPECT_EQ(done.totals.files, totals_.files);
  EXPECT_EQ(done.totals.bytes, totals_.bytes);
  EXPECT_EQ(other.listing(), tree_.listing());
}

TEST_F(Pack, GivesTheSameBytesEachTime) {
  for (const char* name : {"b", "a", "c"}) write(name, name);
  ASSERT_TRUE(pack_place().ok());
  const std::string first = std::exchange(sink_.text, {});
  ASSERT_TRUE(pack_place().ok());
  EXPECT_EQ(sink_.text, first);
}

TEST_F(Pack, DoesNotWaitForAFifo) {
  ASSERT_EQ(::mkfifo((tree_.place_path() + "/fifo").c_str(), 0600), 0);
  EXPECT_FALSE(pack_place().ok());
  EXPECT_EQ(trouble_.limit, "type");
  EXPECT_EQ(trouble_.path, "place/fifo");
}

TEST_F(Pack, DoesNotFollowSymlinksBelow) {
  std::filesystem::create_symlink("/etc", tree_.place_path() + "/l");
  ASSERT_TRUE(pack_place().ok());
  const TempTree other;
  EXPECT_EQ(try_unpack(other, sink_.text).limit, "link");  // and absolute ones don't come in anywhere
}

TEST_F(Pack, KeepsToTheLimits) {
  write("a", "12345");
  write("b", "12345");
  EXPECT_FALSE(pack_place({.size = 9}).ok());
  EXPECT_EQ(trouble_.limit, "size");
  totals_ = {};
  EXPECT_FALSE(pack_place({.entries = 2}).ok());
  EXPECT_EQ(trouble_.limit, "entries");
  totals_ = {};
  EXPECT_FALSE(pack_place({.depth = 1}).ok());
  EXPECT_EQ(trouble_.limit, "depth");
}

TEST_F(Pack, NamesWhatIsMissing) {
  const UniqueFd top(::open(tree_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(pack(top.get(), "nothing", "nothing", false, sink_, {}, totals_, trouble_).ok());
  EXPECT_EQ(trouble_.code, ENOENT);
  EXPECT_EQ(trouble_.operation, "stat");
}

TEST(TarWriter, SaysSizesThatUstarCannot) {
  TextSink sink;
  TarWriter writer(sink);
  const Entry entry{.name = "big", .mode = 0600, .size = 1ULL << 40, .mtime = 7};
  ASSERT_TRUE(writer.add(entry).ok());
  EXPECT_FALSE(writer.finish().ok());  // its content is missing
  EXPECT_FALSE(writer.add(entry).ok());
}

TEST(TarReader, ReadsBackWhatTheWriterSays) {
  const Entry entries[] = {
      {.type = EntryType::kDirectory,
       .name = std::string(90, 'a') + "/" + std::string(99, 'b'),
       .mode = 0755,
       .mtime = 1},
      {.type = EntryType::kSymlink, .name = "l\xff", .link = std::string(101, '\xfe'), .mode = 0777, .mtime = 2},
      {.type = EntryType::kFile, .name = std::string(255, 'f'), .mode = 0600, .mtime = 1LL << 40},
  };
  TextSink sink;
  TarWriter writer(sink);
  for (const Entry& entry : entries) ASSERT_TRUE(writer.add(entry).ok());
  ASSERT_TRUE(writer.finish().ok());
  TextSource source(sink.text, 100);
  Trouble trouble;
  TarReader reader(source, {}, trouble);
  for (const Entry& entry : entries) {
    Entry read;
    const auto more = reader.next(read);
    ASSERT_TRUE(more.ok()) << more.error().message();
    EXPECT_EQ(read, entry);
  }
  Entry none;
  const auto more = reader.next(none);
  ASSERT_TRUE(more.ok());
  EXPECT_FALSE(*more);
}

}  // namespace
}  // namespace sandboxd::archive
