// A log in a directory of its own, and its bytes for those tests that damage them.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include <sys/stat.h>

#include "daemon/audit/log.h"
#include "daemon/audit/segments.h"
#include "daemon/audit/verify.h"
#include "tests/support/program.h"

namespace sandboxd::audit {

inline constexpr std::size_t kSmallSegment = 16384;

inline wire::AuditRecord record_of(const std::string& action, wire::AuditPhase phase = wire::AuditPhase::kEvent,
                                   const std::string& request = "", const std::string& detail = "{}") {
  wire::AuditRecord record;
  record.action = action;
  record.phase = phase;
  record.outcome = "ok";
  record.request = request;
  record.jail = "j-1";
  record.uid = 1000;
  record.detail = detail;
  return record;
}

class LogTest : public ::testing::Test {
 protected:
  LogTest() { ::chmod(dir_.path().c_str(), 0700); }

  [[nodiscard]] Log open_log(std::size_t segment = kSmallSegment) const {
    Result<Log> log = Log::open(dir_.path(), segment);
    EXPECT_TRUE(log.ok()) << log.error().message();
    return std::move(*log);
  }
  // One commit a record.
  static void append(Log& log, int count, const std::string& request = "") {
    for (int i = 0; i < count; ++i) {
      const auto ack = log.stage(record_of("jail.exit", wire::AuditPhase::kEvent, request), Source::kSandboxd);
      ASSERT_TRUE(ack.ok()) << ack.error().message();
      const auto done = log.commit();
      ASSERT_TRUE(done.ok() && *done == Commit::kDurable);
    }
  }
  [[nodiscard]] std::string segment_path(std::uint64_t first) const {
    return dir_.path() + "/seg/" + segment_name(first);
  }
  [[nodiscard]] static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  // The text of a segment without its zeros.
  [[nodiscard]] std::string text_of(std::uint64_t first) const {
    const std::string bytes = read(segment_path(first));
    return bytes.substr(0, bytes.find_last_not_of('\0') + 1);
  }
  [[nodiscard]] Verification verdict() const {
    Result<Verification> result = verify(dir_.path());
    EXPECT_TRUE(result.ok()) << result.error().message();
    return *result;
  }

  test::TempDir dir_;
};

}  // namespace sandboxd::audit
