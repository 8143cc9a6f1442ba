#include "tests/support/program.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/listen_fds.h"
#include "daemon/confine/capabilities.h"

namespace sandboxd::test {
namespace {

[[noreturn]] void fail(const std::string& what) {
  fmt::print(stderr, "start a program: {}\n", what);
  ::_exit(126);
}

[[noreturn]] void exec_program(const std::string& path, const StartOptions& options) {
  std::vector<NamedFd> sockets;
  for (const auto& [name, fd] : options.sockets) sockets.push_back({name, fd});
  if (options.stderr_fd >= 0) ::dup2(options.stderr_fd, 2);
  if (const Status given = give_listen_fds(sockets); !given.ok()) fail(given.error().message());
  for (const auto& [name, value] : options.env) ::setenv(name.c_str(), value.c_str(), 1);
  // Before exec; a sanitizer's run-time would else see the tests' options.
  if (options.uid != 0) {
    const Status done = become_unprivileged(options.uid, options.uid);
    if (!done.ok()) fail(done.error().message());
  }
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const std::string& argument : options.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(path.c_str(), argv.data());
  fail("exec " + path);
}

}  // namespace

std::string program_path(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

TempDir::TempDir() {
  std::string pattern = "/tmp/sandboxd-test-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
  ::chmod(path_.c_str(), 0755);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

RunningProgram::RunningProgram(RunningProgram&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

RunningProgram& RunningProgram::operator=(RunningProgram&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

RunningProgram RunningProgram::start(const std::string& path, const StartOptions& options) {
  RunningProgram program;
  const pid_t pid = ::fork();
  if (pid == 0) exec_program(path, options);
  program.pid_ = pid;
  program.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return program;
}

void RunningProgram::signal(int number) const { ::kill(pid_, number); }

std::optional<int> RunningProgram::wait(int timeout_ms) {
  pollfd one{pidfd_.get(), POLLIN, 0};
  if (pid_ <= 0 || ::poll(&one, 1, timeout_ms) != 1) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

void RunningProgram::end() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

int as_user(uid_t uid, const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(uid, uid, uid) < 0 || ::setresuid(uid, uid, uid) < 0) ::_exit(250);
    ::_exit(body());
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace sandboxd::test
