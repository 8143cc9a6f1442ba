#include "tests/support/stack.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "tests/support/probes.h"

namespace sandboxd::test {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

void copy_all_probes(const WorkDir& dir, const std::string& name) {
  std::filesystem::create_directories(dir.path() + "/" + name);
  for (const char* probe : kProbes) static_cast<void>(dir.copy_program(probe, name + "/" + probe));
}

Stack::Stack(const std::string& config, const std::string& without) : slice_(test_slice()) {
  own_mount_namespace();
  copy_all_probes(dir_, "probes");
  std::filesystem::create_directories(runtime_dir());
  std::filesystem::create_directories(state_dir());
  if (!without.empty()) static_cast<void>(dir_.write("run/without", without));
  const std::string path =
      dir_.write("sandboxd.json", fmt::format(R"({{"id_pool": {{"first": {}, "count": {}}}, {}}})", slice_,
                                              kIdsPerSlice, with_unenforced_limits(config)));
  const std::string log = dir_.path() + "/log";
  log_ = UniqueFd(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  StartOptions options;
  options.arguments = {"--standalone", "--config", path, "--runtime-dir", runtime_dir(), "--state-dir", state_dir()};
  options.stderr_fd = log_.get();
  daemon_ = std::make_unique<RunningProgram>(RunningProgram::start(program_path("sandboxd"), options));
  bool died = false;
  const bool ready = eventually(
      [&] {
        died = daemon_->wait(0).has_value();
        return died || read_text(log).find("ready, socket") != std::string::npos;
      },
      30'000);
  if (died || !ready) failure_ = fmt::format("the daemon {}:\n{}", died ? "died" : "is not ready", read_text(log));
}

Stack::~Stack() {
  if (daemon_ && failure_.empty()) {
    const bool ended = end();
    const std::string left = left_over();
    EXPECT_TRUE(ended) << "the daemon did not end well:\n" << read_text(dir_.path() + "/log");
    EXPECT_EQ(left, "");
  }
  if (::testing::Test::HasFailure())
    std::fputs(("--- the daemon's log\n" + read_text(dir_.path() + "/log")).c_str(), stderr);
}

pid_t Stack::program(const std::string& name) const {
  for (const pid_t pid : children_of(parent())) {
    std::error_code error;
    if (std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error).filename() == name) return pid;
  }
  return 0;
}

CommandSpec Stack::ctl_spec(uid_t uid, std::vector<std::string> arguments) const {
  CommandSpec spec;
  spec.argv = {program_path("sandboxctl"), "--socket", socket()};
  spec.argv.insert(spec.argv.end(), std::make_move_iterator(arguments.begin()),
                   std::make_move_iterator(arguments.end()));
  spec.uid = uid;
  return spec;
}

Output Stack::ctl(uid_t uid, std::vector<std::string> arguments, std::string input, std::string directory) const {
  CommandSpec spec = ctl_spec(uid, std::move(arguments));
  spec.input = std::move(input);
  spec.directory = std::move(directory);
  return run(std::move(spec));
}

Output Stack::probe(uid_t uid, std::vector<std::string> options, std::vector<std::string> command,
                    std::string directory) const {
  std::vector<std::string> arguments = {"run", "--ro-bind", probes() + ":/probes"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.emplace_back("--");
  command.front() = "/probes/" + command.front();
  arguments.insert(arguments.end(), command.begin(), command.end());
  return ctl(uid, std::move(arguments), "", std::move(directory));
}

bool Stack::end() {
  if (!daemon_) return true;
  daemon_->signal(SIGTERM);
  const auto status = daemon_->wait(scaled_ms(30'000));
  daemon_.reset();
  ::unlink((runtime_dir() + "/without").c_str());
  return status && *status == 0;
}

std::string Stack::left_over() const {
  std::string text;
  static_cast<void>(eventually([&] { return processes_of_ids(slice_, kIdsPerSlice).empty(); }, 2'000));
  for (const pid_t pid : processes_of_ids(slice_, kIdsPerSlice))
    text += fmt::format("process {} ({})\n", pid, command_name(pid));
  if (const std::string cgroup = slice_cgroup(slice_); !cgroup.empty()) text += "cgroup " + cgroup + "\n";
  for (const auto& row : std::filesystem::directory_iterator(runtime_dir()))
    text += "socket " + row.path().string() + "\n";
  return text;
}

}  // namespace sandboxd::test
