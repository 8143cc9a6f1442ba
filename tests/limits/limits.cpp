#include "tests/limits/limits.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

namespace sandboxd::test {
namespace {

constexpr int kPatienceMs = 60'000;

int fd_of(const Launched& launched, wire::StartedFd what) {
  return launched.fds.empty() ? -1 : launched.fds.at(static_cast<std::size_t>(what)).get();
}

}  // namespace

std::unique_ptr<LauncherStack> Limited::stack_{};
std::unique_ptr<HostileSandboxd> Limited::client_{};
std::uint32_t Limited::number_ = 0;

Taken parse_hog(const std::string& out) {
  Taken taken;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, error;
    long count = 0;
    if (words >> name >> count >> error) taken[name] = {count, error};
  }
  return taken;
}

void Limited::SetUpTestSuite() {
  if (::geteuid() != 0) return;
  stack_ = std::make_unique<LauncherStack>();
  static_cast<void>(stack_->dir().copy_program("limit_hog", "probes/limit_hog"));
  client_ = stack_->connect();
}

void Limited::TearDownTestSuite() {
  client_.reset();
  stack_.reset();
}

void Limited::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the launcher";
  ASSERT_NE(client_, nullptr) << stack_->log();
}

void Limited::TearDown() {
  if (!neighbour_) return;
  auto& [plan, launched] = *neighbour_;
  const JobEnd end = await_job(launched, kPatienceMs);
  EXPECT_EQ(end.wait_status, 0) << "the neighbour noticed: " << end.failed_step << " " << end.out;
  std::string all;
  for (int i = 0; i < neighbour_lines_; ++i) all += fmt::format("beat {}\n", i);
  EXPECT_EQ(end.out, all);
  EXPECT_TRUE(client().remove(plan.number));
}

bool Limited::host_has(const std::string& controller) {
  const bool has = has_controller(controller);
  EXPECT_TRUE(has || std::getenv("SANDBOXD_GUEST") == nullptr) << "the guest has lost its controller " << controller;
  return has;
}

wire::JailPlan Limited::hog(std::vector<std::string> words, bool workspace) {
  words.insert(words.begin(), "/probes/limit_hog");
  wire::JailPlan plan = client().plan(++number_, std::move(words));
  plan.has_token = true;
  plan.token = token_of(0);
  std::memcpy(plan.token.data(), &plan.number, sizeof plan.number);
  plan.inside_uid = plan.inside_gid = kAlice;
  plan.binds = {{0, "/probes", wire::Access::kRo, false}};
  if (workspace) {
    plan.binds.push_back({1, "/work", wire::Access::kRw, true});
    plan.job.workdir = "/work";
  }
  plan.limits = Limits{};
  plan.limits.scratch_max = plan.limits.inodes_max = 0;
  for (const wire::Tmpfs& row : plan.tmpfs) {
    plan.limits.scratch_max += row.size;
    plan.limits.inodes_max += row.inodes;
  }
  return plan;
}

Launched Limited::start(const wire::JailPlan& plan) {
  std::vector<UniqueFd> fds;
  fds.emplace_back(::open((stack().dir().path() + "/probes").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (plan.binds.size() > 1) {
    const std::string work = stack().dir().make(fmt::format("work-{}", plan.number), kAlice);
    fds.emplace_back(::open(work.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  Launched launched;
  // On an emulated processor the broker's child may take longer to read the client than a claim waits.
  for (int tries = 0; tries < 5; ++tries) {
    auto held = stack().hand_over(kAlice, plan.token, numbers);
    EXPECT_TRUE(held.has_value());
    if (held) held_.push_back(std::move(*held));
    launched = client().start(plan);
    if (!launched.failed || launched.failed->step != "claim" || std::getenv("SANDBOXD_GUEST") == nullptr) break;
    held_.pop_back();
    EXPECT_TRUE(client().remove(plan.number));
  }
  if (launched.started) {
    EXPECT_TRUE(wire::place_descriptors(launched.started->descriptors, launched.fds));
  }
  return launched;
}

std::string Limited::read(const Launched& launched, wire::StartedFd what) {
  const int fd = fd_of(launched, what);
  if (fd < 0) return "";
  auto text = cgroups::reread(fd);
  EXPECT_TRUE(text.ok()) << text.error().message();
  return text.ok() ? std::move(text).value() : "";
}

Ran Limited::run(const wire::JailPlan& plan) {
  const std::uint64_t begun = monotonic_usec();
  Launched launched = start(plan);
  if (!launched.started) {
    ADD_FAILURE() << launched.failed->step << ": " << launched.failed->detail;
    return {};
  }
  return await(plan, std::move(launched), begun);
}

Ran Limited::await(const wire::JailPlan& plan, Launched launched, std::uint64_t begun_usec) {
  using enum wire::StartedFd;
  Ran ran;
  ran.end = await_job(launched, kPatienceMs);
  ran.wall_usec = monotonic_usec() - begun_usec;
  ran.taken = parse_hog(ran.end.out);
  ran.killed = !ran.end.wait_status && ran.end.failed_step.empty();
  // The first process of a jail that was killed as a whole is dead too.
  pollfd pidfd{launched.pidfd(), POLLIN, 0};
  if (ran.killed) {
    EXPECT_EQ(::poll(&pidfd, 1, scaled_ms(kPatienceMs)), 1) << "neither an end nor a death";
  }
  if (auto events = cgroups::parse_memory_events(read(launched, kMemoryEvents)); events.ok()) ran.memory = *events;
  if (auto peak = cgroups::parse_amount(read(launched, kMemoryPeak)); peak.ok()) ran.memory_peak = *peak;
  if (auto refused = cgroups::parse_pids_events(read(launched, kPidsEvents)); refused.ok())
    ran.refused_forks = *refused;
  if (auto cpu = cgroups::parse_cpu_stat(read(launched, kCpuStat)); cpu.ok()) ran.cpu = *cpu;
  EXPECT_TRUE(client().remove(plan.number, 60'000)) << "something is left of the jail";
  return ran;
}

void Limited::start_neighbour(int lines) {
  neighbour_lines_ = lines;
  wire::JailPlan plan = hog({"beat", std::to_string(lines)});
  Launched launched = start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->step << ": " << launched.failed->detail;
  neighbour_.emplace(std::move(plan), std::move(launched));
}

}  // namespace sandboxd::test
