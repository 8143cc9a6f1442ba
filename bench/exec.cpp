// What one more command in a live jail costs: Exec of /bin/true over one connection, beside posix_spawn of the same, in one
// loop; and beside posix_spawn after 600 bytes were made durable in a file, which is the least that a record before each
// command can cost on this disk. Prints a table; exits 1 when the goal is missed.
//
//   bench_exec --socket PATH [--rounds N] [--goal RATIO] [--directory DIR]
//
// DIR, of the disk that the audit log is on: /var/tmp when it is not said. As root it takes the uid 12345 first.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "bench/live.h"
#include "bench/row.h"
#include "bench/user.h"

namespace sandboxd::bench {
namespace {

// As the audit log writes: over zeros that are there already, so that no fdatasync(2) is a journal's commit.
class DurableFile {
 public:
  static constexpr std::size_t kRecord = 600, kSize = 4U << 20;

  bool open(const std::string& directory) {
    fd_ = UniqueFd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    const std::string zeros(kSize, '\0');
    return fd_ && ::pwrite(fd_.get(), zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(kSize) &&
           ::fsync(fd_.get()) == 0;
  }
  bool append() {
    const std::string record(kRecord, 'x');
    if (end_ + kRecord > kSize) end_ = 0;
    const ssize_t wrote = ::pwrite(fd_.get(), record.data(), record.size(), static_cast<off_t>(end_));
    end_ += kRecord;
    return wrote == static_cast<ssize_t>(kRecord) && ::fdatasync(fd_.get()) == 0;
  }

 private:
  UniqueFd fd_;
  std::size_t end_ = 0;
};

struct Options {
  std::string socket{};
  std::string directory = "/var/tmp";
  int rounds = 500;
  double goal = 0;
};

int run(const Options& options, DurableFile& file) {
  auto live = Live::open(options.socket);
  if (!live.ok()) {
    fmt::print(stderr, "exec: {}\n", live.error().message());
    return 2;
  }
  const auto exec = [&live](const char* spec) { return [&live, spec] { return (*live)->exec(spec); }; };
  std::vector<Row> rows;
  rows.push_back({.name = "posix_spawn /bin/true", .once = [] { return spawn_and_wait({"/bin/true"}); }});
  rows.push_back(
      {.name = "the same, with a record", .once = [&file] { return file.append() && spawn_and_wait({"/bin/true"}); }});
  rows.push_back({.name = "Exec, no streams", .ours = true, .once = exec(R"({"argv":["/bin/true"],"stdio":"null"})")});
  rows.push_back({.name = "Exec, output captured", .ours = true, .once = exec(R"({"argv":["/bin/true"]})")});
  for (int round = 0; round < options.rounds + 5; ++round) {
    for (Row& row : rows) {
      const std::uint64_t from = monotonic_usec();
      if (!row.once()) return 1;
      if (round >= 5) row.samples.push_back(monotonic_usec() - from);
    }
  }
  fmt::print("{:<28} {:>8} {:>8} {:>8} {:>8} {:>9}\n", "us", "p50", "p90", "p99", "x spawn", "x record");
  const auto spawn = static_cast<double>(rows[0].at(.5));
  const auto recorded = static_cast<double>(rows[1].at(.5));
  for (const Row& row : rows) {
    const auto middle = static_cast<double>(row.at(.5));
    fmt::print("{:<28} {:>8} {:>8} {:>8} {:>8.2f} {:>9.2f}\n", row.name, row.at(.5), row.at(.9), row.at(.99),
               middle / spawn, middle / recorded);
  }
  if (options.goal <= 0) return 0;
  const double ratio = static_cast<double>(rows[2].at(.5)) / spawn;
  fmt::print("goal: Exec at most {:.2f} of posix_spawn: {:.2f}, {}\n", options.goal, ratio,
             ratio <= options.goal ? "met" : "MISSED");
  return ratio <= options.goal ? 0 : 1;
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  using namespace sandboxd;
  bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    if (key == "--socket") options.socket = argv[i + 1];
    if (key == "--rounds") options.rounds = static_cast<int>(parse_uint(argv[i + 1], 1'000'000).value_or(0));
    if (key == "--directory") options.directory = argv[i + 1];
    if (key == "--goal") options.goal = std::strtod(argv[i + 1], nullptr);
  }
  if (options.socket.empty() || options.rounds <= 0) {
    fmt::print(stderr, "usage: bench_exec --socket PATH [--rounds N] [--goal RATIO] [--directory DIR]\n");
    return 2;
  }
  bench::DurableFile file;
  if (!file.open(options.directory)) {
    std::perror("exec: make a file in the directory");
    return 2;
  }
  if (!bench::become_user("exec")) return 2;
  return bench::run(options, file);
}
