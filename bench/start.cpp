// What a start costs: p50, p90 and p99 of each way to run one program, interleaved in one loop so that the machine's noise
// falls on all of them alike, and as ratios to bubblewrap with a workspace. Prints a table; exits 1 when a goal is missed.
//
//   bench_start --socket PATH [--uid UID] [--rounds N] [--goal RATIO]
//
// Run as root it takes the uid of an ordinary user first: the first account that may log in, else 12345 (firejail has no row
// then). Rows: posix_spawn of /bin/true, bwrap, nsjail, runc and firejail where they are installed, `sandboxctl run` without and
// with a workspace, and the method Run over one connection. Each jail of ours is inspected after it was measured (ours.h).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/ours.h"
#include "bench/peers.h"
#include "bench/row.h"

namespace sandboxd::bench {
namespace {

constexpr uid_t kNobodysUid = 12345;
constexpr uid_t kFirstOrdinary = 1000;
constexpr uid_t kLastOrdinary = 59999;

struct Options {
  std::string socket{};
  std::optional<uid_t> uid{};
  int rounds = 300;
  double goal = 0;
};

std::string sibling(const char* program) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / program).string();
}

// Of all rows alike, in turn, for `rounds` rounds.
bool measure(std::vector<Row>& rows, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (Row& row : rows) {
      const std::uint64_t from = monotonic_usec();
      const bool ran = row.once();
      row.samples.push_back(monotonic_usec() - from);
      if (ran && (!row.check || row.check())) continue;
      fmt::print(stderr, "start: round {} of '{}' failed\n", round, row.name);
      return false;
    }
  }
  return true;
}

// A peer that can't run here is left out, and says so; one of ours that can't is a failure.
bool warm_up(std::vector<Row>& rows) {
  bool needed = true;
  const auto runs = [](const Row& row) { return row.once() && (!row.check || row.check()); };
  std::erase_if(rows, [&](const Row& row) {
    if (runs(row) && runs(row)) return false;
    const bool peer = !row.ours && row.name != kBaseline;
    fmt::print(stderr, "start: '{}' does not run here{}\n", row.name, peer ? ", left out" : "");
    needed = needed && peer;
    return true;
  });
  return needed;
}

int report(const std::vector<Row>& rows, const Options& options) {
  const auto median = [&](const char* name) {
    return static_cast<double>(std::ranges::find(rows, name, &Row::name)->at(.5));
  };
  utsname host{};
  ::uname(&host);
  fmt::print("Linux {} {}, {} processors, {} rounds, {} scheduling\n", host.release, host.machine,
             std::thread::hardware_concurrency(), options.rounds,
             ::sched_getscheduler(0) == SCHED_OTHER ? "ordinary" : "real-time");
  fmt::print("{:<32} {:>8} {:>8} {:>8} {:>10} {:>10}\n", "us", "p50", "p90", "p99", "x bwrap", "x spawn");
  for (const Row& row : rows) {
    const auto half = static_cast<double>(row.at(.5));
    fmt::print("{:<32} {:>8} {:>8} {:>8} {:>10.3f} {:>10.2f}\n", row.name, row.at(.5), row.at(.9), row.at(.99),
               half / median(kBaseline), half / median("/bin/true"));
  }
  fmt::print("inspected {} jails: each with a filter, Landlock, seven namespaces of its own and no capability\n",
             static_cast<int>(std::ranges::count_if(rows, &Row::ours)) * options.rounds);
  if (options.goal <= 0) return 0;
  const double ratio = median(kGoalRow) / median(kBaseline);
  fmt::print("goal: Run with a workspace at most {:.2f} of bwrap: {:.3f}, {}\n", options.goal, ratio,
             ratio <= options.goal ? "met" : "MISSED");
  return ratio <= options.goal ? 0 : 1;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    const char* value = argv[i + 1];
    if (key == "--socket")
      options.socket = value;
    else if (key == "--uid")
      options.uid = static_cast<uid_t>(parse_uint(value, 4294967294U).value_or(0));
    else if (key == "--rounds")
      options.rounds = static_cast<int>(parse_uint(value, 1'000'000).value_or(0));
    else if (key == "--goal")
      options.goal = std::strtod(value, nullptr);
    else
      return std::nullopt;
  }
  const bool complete = argc % 2 == 1 && !options.socket.empty() && options.rounds > 0;
  return complete ? std::optional(options) : std::nullopt;
}

uid_t ordinary_uid() {
  uid_t uid = kNobodysUid;
  ::setpwent();
  while (const passwd* row = ::getpwent()) {
    if (row->pw_uid < kFirstOrdinary || row->pw_uid > kLastOrdinary) continue;
    uid = row->pw_uid;
    break;
  }
  ::endpwent();
  return uid;
}

// The whole of the user: firejail, for one, looks at HOME.
bool become(uid_t uid) {
  if (::geteuid() != 0) return true;
  const passwd* row = ::getpwuid(uid);
  const gid_t gid = row == nullptr ? uid : row->pw_gid;
  ::setenv("HOME", row == nullptr ? "/nonexistent" : row->pw_dir, 1);
  return ::setgroups(0, nullptr) == 0 && ::setresgid(gid, gid, gid) == 0 && ::setresuid(uid, uid, uid) == 0;
}

int run(const Options& options, const std::string& directory) {
  const std::string workspace = directory + "/workspace", scratch = directory + "/runc";
  if (::mkdir(workspace.c_str(), 0755) < 0 || ::mkdir(scratch.c_str(), 0755) < 0) {
    std::perror("start: make a workspace");
    return 2;
  }
  auto ours = Ours::open(options.socket, workspace, sibling("sandboxctl"));
  if (!ours.ok()) {
    fmt::print(stderr, "start: {}\n", ours.error().message());
    return 2;
  }
  std::vector<Row> rows;
  rows.push_back({.name = "/bin/true", .once = [] { return spawn_and_wait({"/bin/true"}); }});
  for (auto& more : {peer_rows(workspace, scratch), (*ours)->rows()}) rows.insert(rows.end(), more.begin(), more.end());
  return warm_up(rows) && measure(rows, options.rounds) ? report(rows, options) : 1;
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  using namespace sandboxd::bench;
  const auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "usage: bench_start --socket PATH [--uid UID] [--rounds N] [--goal RATIO]\n");
    return 2;
  }
  if (!become(options->uid.value_or(ordinary_uid()))) {
    std::perror("start: take the user's uid");
    return 2;
  }
  char directory[] = "/var/tmp/sandboxd-bench-XXXXXX";
  if (::mkdtemp(directory) == nullptr) {
    std::perror("start: make a directory");
    return 2;
  }
  const int status = run(*options, directory);
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  return status;
}
