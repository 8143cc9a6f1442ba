// How fast a job's standard output comes: 1 GiB of /dev/zero from head(1), read by us in pieces of 64 KiB: from a plain pipe, from
// a job's own pipe (stdio pass), and relayed by the daemon, which keeps it in the job's log meanwhile. Interleaved; the best
// and the middle of the rounds, as ratios to the pipe.
//
//   bench_stream --socket PATH [--rounds N] [--mebibytes N]
//
// As root it takes the uid 12345 first.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/live.h"
#include "bench/row.h"
#include "bench/user.h"

extern char** environ;

namespace sandboxd::bench {
namespace {

struct Options {
  std::string socket{};
  int rounds = 5;
  std::uint64_t mebibytes = 1024;
};

bool read_all(int fd, std::uint64_t expected) {
  static std::array<char, 65536> buffer;
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) return false;
    if (got == 0) break;
    total += static_cast<std::uint64_t>(got);
  }
  if (total != expected) fmt::print(stderr, "stream: {} bytes came, not {}\n", total, expected);
  return total == expected;
}

bool through_a_pipe(std::uint64_t bytes) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return false;
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), 1);
  const std::string count = std::to_string(bytes);
  std::array<char*, 5> argv = {const_cast<char*>("head"), const_cast<char*>("-c"), const_cast<char*>(count.c_str()),
                               const_cast<char*>("/dev/zero"), nullptr};
  pid_t pid = -1;
  const bool started = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0;
  ::posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  if (!started) return false;
  const bool read = read_all(read_end.get(), bytes);
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && read;
}

bool from_a_job(Live& live, std::uint64_t bytes, bool log) {
  const std::string spec =
      fmt::format(R"({{"argv":["head","-c","{}","/dev/zero"],"stdio":"pass","log":{}}})", bytes, log);
  std::vector<UniqueFd> fds;
  if (!live.send_exec(spec, /*more=*/true) || !live.receive(&fds) || fds.size() != 3) return false;
  return read_all(fds[1].get(), bytes) && live.receive().has_value();
}

int run(const Options& options) {
  auto live = Live::open(options.socket);
  if (!live.ok()) {
    fmt::print(stderr, "stream: {}\n", live.error().message());
    return 2;
  }
  const std::uint64_t bytes = options.mebibytes << 20;
  std::vector<Row> rows;
  rows.push_back({.name = "a pipe", .once = [bytes] { return through_a_pipe(bytes); }});
  rows.push_back({.name = "a job, straight", .ours = true, .once = [&] { return from_a_job(**live, bytes, false); }});
  rows.push_back(
      {.name = "a job, relayed and logged", .ours = true, .once = [&] { return from_a_job(**live, bytes, true); }});
  for (int round = 0; round < options.rounds; ++round) {
    for (Row& row : rows) {
      const std::uint64_t from = monotonic_usec();
      if (!row.once()) return 1;
      row.samples.push_back(monotonic_usec() - from);
    }
  }
  const auto rate = [bytes](std::uint64_t usec) { return static_cast<double>(bytes) / static_cast<double>(usec); };
  fmt::print("{:<28} {:>10} {:>10} {:>8}\n", "MB/s", "p50", "best", "x pipe");
  for (const Row& row : rows) {
    fmt::print("{:<28} {:>10.0f} {:>10.0f} {:>8.2f}\n", row.name, rate(row.at(.5)), rate(row.at(0)),
               rate(row.at(.5)) / rate(rows[0].at(.5)));
  }
  return 0;
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  using namespace sandboxd;
  bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    if (key == "--socket") options.socket = argv[i + 1];
    if (key == "--rounds") options.rounds = static_cast<int>(parse_uint(argv[i + 1], 1000).value_or(0));
    if (key == "--mebibytes") options.mebibytes = parse_uint(argv[i + 1], 1 << 20).value_or(1024);
  }
  if (options.socket.empty() || options.rounds <= 0) {
    fmt::print(stderr, "usage: bench_stream --socket PATH [--rounds N] [--mebibytes N]\n");
    return 2;
  }
  if (!bench::become_user("stream")) return 2;
  return bench::run(options);
}
