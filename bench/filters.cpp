// What a filter costs: a system call under it over one without any, loading it as a part of a posix_spawn, and making it of its
// files. No daemon, no rights. Each sample of a call's cost is a process of its own, since a filter can't be taken off again; all
// filters take turns, so that the machine's noise falls on all of them alike. p50 over the rounds.
//
//   bench_filters DIRECTORY_OF_FILTERS [--rounds N] [--calls N] [--goals]
//
// With --goals the exit status is 1 when one is missed: 150 ns a call, 0.35 of a posix_spawn, 5 ms from files to BPF, and 15 us for a
// refused call that is told, where the kernel can wake the teller on the caller's processor.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "bench/notify.h"
#include "bench/row.h"
#include "seccomp-profiles/compiler/emit.h"

namespace sandboxd::bench {
namespace {

constexpr double kCallGoal = 150;  // ns over no filter
constexpr double kLoadGoal = 0.35;
constexpr std::uint64_t kCompileGoal = 5'000'000;  // ns
constexpr std::uint64_t kNotifyGoal = 15'000;      // ns
constexpr int kNotifiedCalls = 2000;

struct Options {
  std::string directory{};
  int rounds = 21;
  int calls = 200'000;
  bool goals = false;
};

constexpr std::array<std::string_view, 3> kCalls = {"getppid", "read", "futex"};

// In nanoseconds; samples of what one process measured.
struct Sample {
  std::uint64_t load = 0;
  std::array<double, kCalls.size()> call{};
};

struct Variant {
  std::string name{};  // of the filter; empty: none
  std::vector<sock_filter> program{};
  Row load{}, compile{};
  std::array<Row, kCalls.size()> calls{};  // in picoseconds, since Row holds integers
};

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

long call_once(std::size_t which, int zero) {
  static std::uint32_t word = 0;
  char byte = 0;
  switch (which) {
    case 0: return ::syscall(SYS_getppid);
    case 1: return ::syscall(SYS_read, zero, &byte, 1);
    default: return ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
}

// The middle one of short blocks: a process that is preempted loses some blocks, not its sample.
double cost_of(std::size_t which, int zero, int calls) {
  constexpr std::size_t kBlocks = 41;
  const int length = std::max(1, calls / static_cast<int>(kBlocks));
  std::array<double, kBlocks> blocks{};
  for (double& block : blocks) {
    const std::uint64_t start = now();
    for (int i = 0; i < length; ++i) call_once(which, zero);
    block = static_cast<double>(now() - start) / length;
  }
  std::ranges::nth_element(blocks, blocks.begin() + kBlocks / 2);
  return blocks[kBlocks / 2];
}

[[noreturn]] void measure(const Variant& variant, int calls, int out) {
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  Sample sample;
  if (!variant.program.empty()) {
    const sock_fprog program{static_cast<unsigned short>(variant.program.size()),
                             const_cast<sock_filter*>(variant.program.data())};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
    const std::uint64_t start = now();
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) ::_exit(1);
    sample.load = now() - start;
  }
  for (std::size_t i = 0; i < kCalls.size(); ++i) sample.call[i] = cost_of(i, zero, calls);
  ::_exit(::write(out, &sample, sizeof sample) == sizeof sample ? 0 : 1);
}

bool sample_once(Variant& variant, int calls) {
  std::array<int, 2> pipe = {-1, -1};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return false;
  const pid_t child = ::fork();
  if (child == 0) measure(variant, calls, pipe[1]);
  ::close(pipe[1]);
  Sample sample;
  const bool whole = ::read(pipe[0], &sample, sizeof sample) == sizeof sample;
  ::close(pipe[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0 || !whole) return false;
  variant.load.samples.push_back(sample.load);
  for (std::size_t i = 0; i < kCalls.size(); ++i)
    variant.calls[i].samples.push_back(static_cast<std::uint64_t>(sample.call[i] * 1000));
  return true;
}

Result<std::vector<sock_filter>> compiled(const std::string& directory, const std::string& name) {
  const filters::Loader loader = [&](std::string_view wanted) -> Result<filters::SourceText> {
    const std::string path = fmt::format("{}/{}.json", directory, wanted);
    TRY_ASSIGN(std::string text, read_file(AT_FDCWD, path));
    return filters::SourceText{path, std::move(text)};
  };
  TRY_ASSIGN(const filters::Filter filter, filters::load_filter(name, loader));
  return filters::compile_filter(filter, filters::host_arch(), {{"unix_sockets", "none"}});
}

// From the files, each time: parsing, names, binding, code.
Status compile_once(const std::string& directory, Variant& variant) {
  const std::uint64_t start = now();
  TRY_ASSIGN(variant.program, compiled(directory, variant.name));
  variant.compile.samples.push_back(now() - start);
  return {};
}

// Files that are whole filters.
Result<std::vector<Variant>> variants_of(const std::string& directory) {
  std::vector<Variant> variants(1);
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    TRY_ASSIGN(const std::string text, read_file(AT_FDCWD, entry.path().string()));
    if (text.find("\"default\": {") != std::string::npos) names.push_back(entry.path().stem().string());
  }
  if (names.empty()) return make_error("no filter in {}", sandboxd::quoted(directory));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    variants.emplace_back().name = name;
    TRY(compile_once(directory, variants.back()));
  }
  return variants;
}

bool print(const std::vector<Variant>& variants, const Row& spawn) {
  const auto over = [&](const Variant& variant, std::size_t i) {
    return (static_cast<double>(variant.calls[i].at(0.5)) - static_cast<double>(variants[0].calls[i].at(0.5))) / 1000;
  };
  bool kept = true;
  fmt::print(
      "| filter | instructions | getppid, ns | read | futex | load, us | of a posix_spawn | files to BPF, ms |\n");
  fmt::print("|---|---|---|---|---|---|---|---|\n");
  for (const Variant& one : variants) {
    if (one.name.empty()) {
      fmt::print("| none | | {:.0f} | {:.0f} | {:.0f} | | {:.0f} us | |\n",
                 static_cast<double>(one.calls[0].at(0.5)) / 1000, static_cast<double>(one.calls[1].at(0.5)) / 1000,
                 static_cast<double>(one.calls[2].at(0.5)) / 1000, static_cast<double>(spawn.at(0.5)) / 1000);
      continue;
    }
    const double ratio = static_cast<double>(one.load.at(0.5)) / static_cast<double>(spawn.at(0.5));
    fmt::print("| {} | {} | +{:.0f} | +{:.0f} | +{:.0f} | {:.0f} | {:.2f} | {:.2f} |\n", one.name, one.program.size(),
               over(one, 0), over(one, 1), over(one, 2), static_cast<double>(one.load.at(0.5)) / 1000, ratio,
               static_cast<double>(one.compile.at(0.5)) / 1e6);
    kept = kept && ratio <= kLoadGoal && one.compile.at(0.5) <= kCompileGoal;
    for (std::size_t i = 0; i < kCalls.size(); ++i) kept = kept && over(one, i) <= kCallGoal;
  }
  return kept;
}

bool print(const Notified& notified) {
  const auto usec = [](const Row& row) { return static_cast<double>(row.at(0.5)) / 1000; };
  fmt::print("\nA refused call that is told: {:.1f} us", usec(notified.plain));
  if (notified.sync.samples.empty()) {
    fmt::print("; this kernel has no SYNC_WAKE_UP\n");
    return true;
  }
  fmt::print(", with SYNC_WAKE_UP {:.1f} us\n", usec(notified.sync));
  return notified.sync.at(0.5) <= kNotifyGoal;
}

Status run(const Options& options) {
  TRY_ASSIGN(std::vector<Variant> variants, variants_of(options.directory));
  Row spawn;
  Notified notified;
  for (int round = 0; round < options.rounds; ++round) {
    for (Variant& variant : variants) {
      if (!variant.name.empty()) TRY(compile_once(options.directory, variant));
      if (!sample_once(variant, options.calls)) return make_error("a process that measures '{}' failed", variant.name);
      const std::uint64_t start = now();
      if (!spawn_and_wait({"/bin/true"})) return make_error("run '/bin/true'");
      spawn.samples.push_back(now() - start);
    }
    TRY(measure_notified(kNotifiedCalls, notified));
  }
  const bool kept = print(variants, spawn);
  if (!(print(notified) && kept) && options.goals) return make_error("a goal is missed");
  return {};
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  sandboxd::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--goals") options.goals = true;
    if (word == "--rounds" && i + 1 < argc) options.rounds = std::max(1, std::atoi(argv[++i]));
    if (word == "--calls" && i + 1 < argc) options.calls = std::max(10, std::atoi(argv[++i]));
    if (!word.starts_with("--") && std::string_view(argv[i]) == word) options.directory = word;
  }
  if (options.directory.empty()) {
    fmt::print(stderr, "usage: bench_filters DIRECTORY_OF_FILTERS [--rounds N] [--calls N] [--goals]\n");
    return 2;
  }
  const sandboxd::Status status = sandboxd::bench::run(options);
  if (!status.ok()) fmt::print(stderr, "bench_filters: {}\n", status.error().message());
  return status.ok() ? 0 : 1;
}
