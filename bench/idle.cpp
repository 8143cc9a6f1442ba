// What idle sessions cost, all told: N sessions of one user are made over one connection, and what the kernel and the daemon
// hold with them is compared with what they held before: the kernel's own memory (meminfo: SUnreclaim, KernelStack, PageTables,
// Percpu) and the proportional set size (smaps_rollup, proc(5)) of the daemon's programs and of every jail's first process.
// MemAvailable would say less: a host's caches come and go meanwhile.
//
//   bench_idle --socket PATH --daemon PID [--sessions N]
//
// PID: of `sandboxd --standalone`. As root; the sessions are the user 12345's, whose 'user_limits' must allow so many jails.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/user.h"
#include "sandboxd/client.h"

namespace sandboxd::bench {
namespace {

struct Options {
  std::string socket{};
  pid_t daemon = 0;
  int sessions = 500;
};

// The sum of the lines of a file of "Name: value kB" that have one of these names.
std::uint64_t sum_kib(const std::string& path, const std::vector<std::string_view>& names) {
  std::ifstream file(path);
  std::uint64_t sum = 0;
  for (std::string line; std::getline(file, line);) {
    for (const std::string_view name : names) {
      if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
        sum += std::strtoull(line.c_str() + name.size() + 1, nullptr, 10);
    }
  }
  return sum;
}

pid_t parent_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("PPid:")) return std::atoi(line.c_str() + 5);
  }
  return 0;
}

std::vector<pid_t> with_descendants(pid_t top) {
  std::map<pid_t, std::vector<pid_t>> children;
  for (const auto& row : std::filesystem::directory_iterator("/proc")) {
    const auto pid = parse_uint(row.path().filename().string(), INT32_MAX);
    if (pid) children[parent_of(static_cast<pid_t>(*pid))].push_back(static_cast<pid_t>(*pid));
  }
  std::vector<pid_t> all = {top};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& mine = children[all[i]];
    all.insert(all.end(), mine.begin(), mine.end());
  }
  return all;
}

struct Held {
  std::uint64_t kernel = 0, processes = 0;  // KiB
};

Held held(pid_t daemon) {
  Held now;
  now.kernel = sum_kib("/proc/meminfo", {"SUnreclaim", "KernelStack", "PageTables", "Percpu"});
  for (const pid_t pid : with_descendants(daemon))
    now.processes += sum_kib(fmt::format("/proc/{}/smaps_rollup", pid), {"Pss"});
  return now;
}

double each(std::uint64_t before, std::uint64_t after, int sessions) {
  return (static_cast<double>(after) - static_cast<double>(before)) / sessions;
}

int run(const Options& options) {
  if (::setegid(kUser) < 0 || ::seteuid(kUser) < 0) {
    std::perror("idle: take the user's uid");
    return 2;
  }
  auto client = client::Client::connect({.socket = options.socket});
  if (!client) {
    fmt::print(stderr, "idle: {}\n", client.error().text);
    return 2;
  }
  const auto as_root = [](const auto& what) {
    if (::seteuid(0) < 0) std::abort();
    const auto result = what();
    if (::seteuid(kUser) < 0) std::abort();
    return result;
  };
  const auto weigh = [&] { return as_root([&] { return held(options.daemon); }); };
  std::vector<std::string> jails;
  Held before, after;
  int status = 0;
  // The first ones fill what is kept for all.
  constexpr int kWarm = 8;
  for (int i = 0; i < options.sessions + kWarm && status == 0; ++i) {
    if (i == kWarm) before = weigh();
    auto made = client->create({});
    if (made) {
      jails.push_back(made->jail);
    } else {
      fmt::print(stderr, "idle: session {}: {}\n", i, made.error().text);
      status = 1;
    }
  }
  if (status == 0) {
    std::this_thread::sleep_for(std::chrono::seconds(2));  // what the kernel frees later is freed
    after = weigh();
    const double kernel = each(before.kernel, after.kernel, options.sessions);
    const double processes = each(before.processes, after.processes, options.sessions);
    fmt::print("{} idle sessions, KiB each: {:.0f} of the kernel, {:.0f} of processes, {:.0f} in all\n",
               options.sessions, kernel, processes, kernel + processes);
  }
  for (const std::string& jail : jails) (void)client->remove(jail, /*force=*/true);
  return status;
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  using namespace sandboxd;
  bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    if (key == "--socket") options.socket = argv[i + 1];
    if (key == "--daemon") options.daemon = static_cast<pid_t>(parse_uint(argv[i + 1], INT32_MAX).value_or(0));
    if (key == "--sessions") options.sessions = static_cast<int>(parse_uint(argv[i + 1], 100'000).value_or(0));
  }
  if (options.socket.empty() || options.daemon <= 0 || options.sessions <= 0) {
    fmt::print(stderr, "usage: bench_idle --socket PATH --daemon PID [--sessions N]\n");
    return 2;
  }
  return bench::run(options);
}
