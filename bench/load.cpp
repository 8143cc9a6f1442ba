// Whether starts get dearer: with many sessions alive, jails are started and ended one after another, and the median of the last
// tenth of them is compared with the first's. Each start is followed by a posix_spawn of the same program, and what counts is how
// many of those a start costs: a machine that gets busier meanwhile slows both. Prints the tenths; exits 1 when the ratio is
// above the goal.
//
//   bench_load --socket PATH [--alive N] [--starts N] [--goal RATIO]
//
// As root; the jails are the user 12345's, whose 'user_limits' must allow so many at a time. What is left afterwards is looked
// at by whoever started the daemon (tests/limits/load_test.cpp).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "bench/row.h"
#include "bench/user.h"
#include "sandboxd/client.h"

namespace sandboxd::bench {
namespace {

constexpr int kWarm = 20;
constexpr std::size_t kParts = 10;

struct Options {
  std::string socket{};
  int alive = 500;
  int starts = 2000;
  double goal = 1.3;
};

// A jail from the request to its report; 0 when it failed.
std::uint64_t start_one(client::Client& client) {
  client::Request request;
  request.spec.argv = {"/bin/true"};
  request.spec.stdio = protocol::Stdio::kNull;
  const std::uint64_t from = monotonic_usec();
  auto job = client.run(std::move(request));
  auto report = job ? job->wait() : client::Expected<client::JobReport>(job.error());
  if (!report || report->verdict != protocol::Verdict::kExited || report->exit_code != 0) {
    fmt::print(stderr, "load: {}\n", report ? report->detail : report.error().text);
    return 0;
  }
  return monotonic_usec() - from;
}

std::uint64_t median(std::vector<std::uint64_t>::const_iterator from, std::vector<std::uint64_t>::const_iterator to) {
  std::vector<std::uint64_t> part(from, to);
  std::ranges::nth_element(part, part.begin() + static_cast<std::ptrdiff_t>(part.size() / 2));
  return part[part.size() / 2];
}

std::vector<std::uint64_t> medians_of(const std::vector<std::uint64_t>& samples) {
  std::vector<std::uint64_t> medians;
  const auto tenth = static_cast<std::ptrdiff_t>(samples.size() / kParts);
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(kParts); ++i)
    medians.push_back(median(samples.begin() + i * tenth, samples.begin() + (i + 1) * tenth));
  return medians;
}

int compare(const Row& starts, const Row& spawns, const Options& options) {
  const std::vector<std::uint64_t> ours = medians_of(starts.samples), bare = medians_of(spawns.samples);
  const auto relative = [&](std::size_t part) {
    return static_cast<double>(ours[part]) / static_cast<double>(bare[part]);
  };
  const double ratio = relative(kParts - 1) / relative(0);
  fmt::print("{} alive, {} started and ended; medians of tenths, microseconds: {}\n", options.alive, options.starts,
             fmt::join(ours, " "));
  fmt::print("of a spawn: {}\n", fmt::join(bare, " "));
  fmt::print("last to first: {:.2f} (goal {:.2f}; by the clock {:.2f})\n", ratio, options.goal,
             static_cast<double>(ours.back()) / static_cast<double>(ours.front()));
  return ratio <= options.goal ? 0 : 1;
}

int measure(client::Client& client, const Options& options, std::vector<std::string>& alive) {
  while (static_cast<int>(alive.size()) < options.alive) {
    auto made = client.create({});
    if (!made) {
      fmt::print(stderr, "load: session {}: {}\n", alive.size(), made.error().text);
      return 2;
    }
    alive.push_back(made->jail);
  }
  Row starts, spawns;
  for (int i = -kWarm; i < options.starts; ++i) {
    const std::uint64_t took = start_one(client);
    const std::uint64_t from = monotonic_usec();
    if (took == 0 || !spawn_and_wait({"/bin/true"})) return 2;
    if (i < 0) continue;
    starts.samples.push_back(took);
    spawns.samples.push_back(monotonic_usec() - from);
  }
  return compare(starts, spawns, options);
}

int run(const Options& options) {
  if (!become_user("load")) return 2;
  auto client = client::Client::connect({.socket = options.socket});
  if (!client) {
    fmt::print(stderr, "load: {}\n", client.error().text);
    return 2;
  }
  std::vector<std::string> alive;
  const int status = measure(*client, options, alive);
  for (const std::string& jail : alive) {
    if (auto removed = client->remove(jail, /*force=*/true); !removed)
      fmt::print(stderr, "load: {}\n", removed.error().text);
  }
  return status;
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  using namespace sandboxd;
  bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    const auto number = [&] { return static_cast<int>(parse_uint(argv[i + 1], 1'000'000).value_or(0)); };
    if (key == "--socket") options.socket = argv[i + 1];
    if (key == "--alive") options.alive = number();
    if (key == "--starts") options.starts = number();
    if (key == "--goal") options.goal = std::atof(argv[i + 1]);
  }
  if (options.socket.empty() || options.starts < static_cast<int>(bench::kParts) || options.alive < 0) {
    fmt::print(stderr, "usage: bench_load --socket PATH [--alive N] [--starts N] [--goal RATIO]\n");
    return 2;
  }
  return bench::run(options);
}
