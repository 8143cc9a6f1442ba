// The program's operations, in a directory of the test's own.
#include "daemon/files/operations.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/unique_fd.h"

namespace sandboxd::files {
namespace {

class Operations : public ::testing::Test {
 protected:
  Operations() {
    std::string name = "/tmp/files-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    top_ = name;
  }
  ~Operations() override { std::filesystem::remove_all(top_); }

  // Runs it with memfds for its streams; the records of `output`, or of `error` for archive.
  std::vector<Answer> run(std::vector<std::string> words, const std::string& input = "") {
    const UniqueFd in = memory(input);
    const UniqueFd out = memory("");
    const UniqueFd error = memory("");
    const std::vector<std::string_view> views(words.begin(), words.end());
    status_ = run_operation(views, {in.get(), out.get(), error.get()});
    stream_ = content_of(out.get());
    AnswerReader reader;
    reader.feed(words[0] == "archive" ? content_of(error.get()) : stream_);
    std::vector<Answer> answers;
    while (auto answer = reader.next()) answers.push_back(std::move(*answer));
    EXPECT_FALSE(reader.broken());
    EXPECT_EQ(reader.pending(), 0u);
    return answers;
  }
  Answer last(std::vector<std::string> words, const std::string& input = "") {
    const auto answers = run(std::move(words), input);
    return answers.empty() ? Answer{.kind = AnswerKind::kFailed, .code = -1} : answers.back();
  }
  static UniqueFd memory(const std::string& content) {
    UniqueFd fd(::memfd_create("stream", MFD_CLOEXEC));
    EXPECT_TRUE(write_all(fd.get(), content).ok());
    EXPECT_EQ(::lseek(fd.get(), 0, SEEK_SET), 0);
    return fd;
  }
  static std::string content_of(int fd) {
    EXPECT_EQ(::lseek(fd, 0, SEEK_SET), 0);
    return read_fd(fd, 64U << 20).value();
  }
  std::string at(const std::string& name) const { return top_ + "/" + name; }
  void make(const std::string& name, std::string_view content) const { std::ofstream(at(name)) << content; }
  std::string content(const std::string& name) const { return read_file(AT_FDCWD, at(name)).value(); }

  std::string top_;
  std::string stream_;
  int status_ = -1;
};

TEST_F(Operations, ReadGivesAPieceAndSaysWhetherItIsTheLast) {
  make("f", "0123456789");
  auto answers = run({"read", at("f"), "2", "3"});
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].data, "234");
  EXPECT_FALSE(answers[0].end);
  EXPECT_EQ(answers[0].size, 10u);
  EXPECT_EQ(answers[1].kind, AnswerKind::kDone);
  answers = run({"read", at("f"), "7", "100"});
  EXPECT_EQ(answers[0].data, "789");
  EXPECT_TRUE(answers[0].end);
  answers = run({"read", at("f"), "9223372036854775807", "100"});
  EXPECT_EQ(answers[0].data, "");
  EXPECT_TRUE(answers[0].end);
}

TEST_F(Operations, NothingWaitsForAFifo) {
  ASSERT_EQ(::mkfifo(at("p").c_str(), 0600), 0);
  EXPECT_EQ(last({"read", at("p"), "0", "1"}).limit, "type");
  EXPECT_EQ(last({"archive", at("p")}).limit, "type");
  EXPECT_EQ(last({"write", at("p"), "1", "644", "a"}, "x").code, ENXIO);
  EXPECT_EQ(last({"list", at("p")}).code, ENOTDIR);
  EXPECT_EQ(last({"extract", at("p"), "1", "1", "1"}).code, ENOTDIR);
}

TEST_F(Operations, WriteReplacesWhole) {
  make("f", "old");
  EXPECT_EQ(last({"write", at("f"), "3", "640", "-"}, "new").kind, AnswerKind::kDone);
  EXPECT_EQ(content("f"), "new");
  struct stat info {};
  ASSERT_EQ(::stat(at("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  EXPECT_EQ(run({"list", top_}).size(), 2u);  // nothing hidden is left
}

TEST_F(Operations, WriteThatComesShortLeavesTheOldFile) {
  make("f", "old");
  EXPECT_EQ(last({"write", at("f"), "300", "644", "-"}, "new").code, EPIPE);
  EXPECT_EQ(content("f"), "old");
}

TEST_F(Operations, WriteReplacesASymlinkNotWhatItPointsTo) {
  make("f", "old");
  std::filesystem::create_symlink("f", at("l"));
  EXPECT_EQ(last({"write", at("l"), "3", "644", "-"}, "new").kind, AnswerKind::kDone);
  EXPECT_EQ(content("f"), "old");
  EXPECT_EQ(content("l"), "new");
}

TEST_F(Operations, WriteAppendsAndIsExclusive) {
  EXPECT_EQ(last({"write", at("f"), "1", "644", "x"}, "a").kind, AnswerKind::kDone);
  EXPECT_EQ(last({"write", at("f"), "1", "644", "x"}, "b").code, EEXIST);
  EXPECT_EQ(last({"write", at("f"), "1", "644", "a"}, "c").kind, AnswerKind::kDone);
  EXPECT_EQ(content("f"), "ac");
  EXPECT_EQ(last({"write", top_, "1", "644", "-"}, "c").code, EISDIR);
  EXPECT_EQ(last({"write", at("no/f"), "1", "644", "-"}, "c").code, ENOENT);
}

TEST_F(Operations, ListIsSortedAndSaysWhatThingsAre) {
  make("b", "12");
  std::filesystem::create_directory(at("a"));
  std::filesystem::create_symlink("/etc", at("c"));
  const auto answers = run({"list", top_});
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0].entry.name, "a");
  EXPECT_EQ(answers[0].entry.type, FileType::kDirectory);
  EXPECT_EQ(answers[1].entry.size, 2u);
  EXPECT_EQ(answers[2].entry.type, FileType::kSymlink);
  EXPECT_EQ(answers[2].entry.target, "/etc");
  EXPECT_EQ(run({"stat", at("c"), "0"})[0].entry.type, FileType::kSymlink);
  EXPECT_EQ(run({"stat", at("c"), "1"})[0].entry.type, FileType::kDirectory);
}

TEST_F(Operations, RemoveTakesADirectoryOnlyWhenAsked) {
  std::filesystem::create_directories(at("d/e"));
  make("d/e/f", "");
  make("kept", "kept");
  std::filesystem::create_symlink("../kept", at("d/l"));
  EXPECT_EQ(last({"remove", at("d"), "0"}).code, ENOTEMPTY);
  EXPECT_EQ(last({"remove", at("d"), "1"}).kind, AnswerKind::kDone);
  EXPECT_EQ(last({"remove", at("d"), "1"}).code, ENOENT);
  EXPECT_EQ(content("kept"), "kept");
}

TEST_F(Operations, ArchiveAndExtractAreEachOthersOpposite) {
  std::filesystem::create_directories(at("from/e"));
  make("from/e/f", "hello");
  std::filesystem::create_directory(at("to"));
  const Answer packed = last({"archive", at("from")});
  EXPECT_EQ(packed.kind, AnswerKind::kDone);
  EXPECT_EQ(packed.files, 1u);
  const Answer unpacked = last({"extract", at("to"), "5", "3", "3"}, stream_);
  EXPECT_EQ(unpacked.kind, AnswerKind::kDone) << unpacked.detail;
  EXPECT_EQ(unpacked.bytes, 5u);
  EXPECT_EQ(content("to/from/e/f"), "hello");
}

TEST_F(Operations, ExtractSaysWhatItRefuses) {
  std::filesystem::create_directories(at("from/e"));
  make("from/e/f", "hello");
  std::filesystem::create_directory(at("to"));
  run({"archive", at("from")});
  const std::string stream = stream_;
  EXPECT_EQ(last({"extract", at("to"), "4", "3", "3"}, stream).limit, "size");
  EXPECT_EQ(last({"extract", at("to"), "5", "2", "3"}, stream).limit, "entries");
  EXPECT_EQ(last({"extract", at("to"), "5", "3", "2"}, stream).limit, "depth");
  EXPECT_EQ(last({"extract", at("to"), "5", "3", "3"}, stream.substr(0, 600)).limit, "format");
  EXPECT_TRUE(std::filesystem::is_empty(at("to")));
}

TEST_F(Operations, UnknownWordsAreNoOperation) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"explode", "/"},
                                                {"read", "/"},
                                                {"list", "relative"},
                                                {"list", "/a/../b"},
                                                {"stat", "/", "0", "1"}}) {
    EXPECT_TRUE(run(words).empty());
    EXPECT_EQ(status_, 2);
  }
}

}  // namespace
}  // namespace sandboxd::files
