#include "daemon/jails/job_log.h"

#include <cerrno>
#include <filesystem>

#include <stdlib.h>

#include <gtest/gtest.h>

namespace sandboxd::jails {
namespace {

class Log : public testing::Test {
 protected:
  Log() {
    char name[] = "/tmp/job-log-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~Log() override { std::filesystem::remove_all(folder_); }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()));
  }
  std::string folder_;
};

TEST_F(Log, GivesBackWhatWasWrittenInOrder) {
  auto log = std::move(JobLog::create(folder_, "j.1")).value();
  log->append(1, "out");
  log->append(2, "err");
  JobLog::Place place;
  auto piece = std::move(log->read(place)).value();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->stream, 1);
  EXPECT_EQ(piece->bytes, "out");
  piece = std::move(log->read(place)).value();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->stream, 2);
  EXPECT_FALSE(std::move(log->read(place)).value());
}

TEST_F(Log, AUsersNextOneTakesThePlaceOfTheOldestThatIsFinished) {
  JobLogs logs;
  std::vector<std::shared_ptr<JobLog>> kept;
  const auto add = [&](uid_t uid) {
    return logs.create(uid, folder_, "j-" + std::to_string(uid) + "." + std::to_string(kept.size()));
  };
  for (std::size_t i = 0; i < JobLogs::kMost; ++i) {
    kept.push_back(std::move(add(1000)).value());
    kept.back()->append(1, "out");
  }
  EXPECT_EQ(add(1000).error().code, EDQUOT);
  EXPECT_TRUE(add(1001).ok());
  kept[2]->finish();
  EXPECT_TRUE(add(1000).ok());
  JobLog::Place place;
  const auto piece = std::move(kept[2]->read(place)).value();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->dropped, 3U);
  EXPECT_EQ(piece->bytes, "");
  EXPECT_FALSE(std::move(kept[2]->read(place)).value());
  EXPECT_EQ(files(), JobLogs::kMost - 1);  // the last one has gone with what held it
}

TEST_F(Log, KeepsTheEndAndSaysHowMuchIsMissing) {
  auto log = std::move(JobLog::create(folder_, "j.1")).value();
  const std::string chunk(60'000, 'x');
  std::uint64_t written = 0;
  while (written < 3 * JobLog::kSegment) {
    log->append(1, chunk);
    written += chunk.size();
  }
  log->append(1, "last");
  written += 4;
  EXPECT_EQ(files(), 2U);
  JobLog::Place place;
  std::uint64_t read = 0, dropped = 0;
  std::string last;
  for (;;) {
    const auto piece = std::move(log->read(place)).value();
    if (!piece) break;
    dropped += piece->dropped;
    read += piece->bytes.size();
    last = piece->bytes;
  }
  EXPECT_EQ(last, "last");
  EXPECT_EQ(read + dropped, written);
  EXPECT_LE(read, 2 * JobLog::kSegment + chunk.size());
}

TEST_F(Log, GoesWithItsJob) {
  {
    auto log = std::move(JobLog::create(folder_, "j.1")).value();
    log->append(1, "x");
    EXPECT_EQ(files(), 1U);
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(Log, OfAnEarlierLifeIsRemoved) {
  std::filesystem::copy_file("/etc/passwd", folder_ + "/j-old.1.1");
  ASSERT_TRUE(empty_log_directory(folder_).ok());
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace sandboxd::jails
