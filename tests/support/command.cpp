#include "tests/support/command.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/clock.h"

namespace sandboxd::test {
namespace {

std::pair<UniqueFd, UniqueFd> make_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) < 0) std::abort();
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void make_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

[[noreturn]] void fail(const char* what) {
  fmt::print(stderr, "run a command: {}: {}\n", what, errno);
  ::_exit(126);
}

[[noreturn]] void exec_command(const CommandSpec& spec, int in, int out, int err) {
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  for (const int fd : spec.keep) ::fcntl(fd, F_SETFD, 0);
  const gid_t gid = spec.gid != 0 ? spec.gid : spec.uid;
  if (spec.uid != 0 && (::setgroups(0, nullptr) < 0 || ::setresgid(gid, gid, gid) < 0 ||
                        ::setresuid(spec.uid, spec.uid, spec.uid) < 0)) {
    fail("take the user's ids");
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::chdir(spec.directory.c_str()) < 0) fail("chdir");
  ::clearenv();
  ::setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", 1);
  ::setenv("HOME", "/", 1);
  ::setenv("LANG", "C.UTF-8", 1);
  for (const auto& [name, value] : spec.env) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  for (const std::string& argument : spec.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(errno == ENOENT ? 127 : 126);
}

}  // namespace

int scaled_ms(int milliseconds) {
  static const int scale = [] {
    const char* text = std::getenv("SANDBOXD_TIME_SCALE");
    return std::clamp(text == nullptr ? 1 : std::atoi(text), 1, 100);
  }();
  return milliseconds * scale;
}

std::string describe(const Output& output) {
  return fmt::format("status {}\n--- stdout\n{}\n--- stderr\n{}", output.status, output.out.substr(0, 4000),
                     output.err.substr(0, 4000));
}

Command::Command(CommandSpec spec) : spec_(std::move(spec)) {
  ::signal(SIGPIPE, SIG_IGN);
  auto [in_read, in_write] = make_pipe();
  auto [out_read, out_write] = make_pipe();
  auto [err_read, err_write] = make_pipe();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    exec_command(spec_, in_read.get(), out_write.get(), err_write.get());
  }
  pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  in_ = std::move(in_write);
  out_ = std::move(out_read);
  err_ = std::move(err_read);
  for (const int fd : {in_.get(), out_.get(), err_.get()}) make_nonblocking(fd);
  if (spec_.input.empty()) in_.reset();
}

Command::Command(Command&& other) noexcept
    : spec_(std::move(other.spec_)),
      pid_(std::exchange(other.pid_, -1)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      pidfd_(std::move(other.pidfd_)),
      fed_(other.fed_),
      output_(std::move(other.output_)),
      reaped_(other.reaped_) {}

Command::~Command() {
  if (pid_ <= 0 || reaped_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Command::signal(int number) const {
  if (!reaped_) ::kill(pid_, number);
}

void Command::feed() {
  const ssize_t put = ::write(in_.get(), spec_.input.data() + fed_, spec_.input.size() - fed_);
  if (put > 0) fed_ += static_cast<std::size_t>(put);
  if (fed_ == spec_.input.size() || (put < 0 && errno != EAGAIN && errno != EINTR)) in_.reset();
}

void Command::drain(UniqueFd& from, std::string& into) {
  char buffer[65536];
  const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
  if (got > 0) into.append(buffer, static_cast<std::size_t>(got));
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) from.reset();
}

bool Command::pump(int until_ms) {
  pollfd fds[4] = {{in_.get(), POLLOUT, 0},
                   {out_.get(), POLLIN, 0},
                   {err_.get(), POLLIN, 0},
                   {reaped_ ? -1 : pidfd_.get(), POLLIN, 0}};
  if (!out_ && !err_ && reaped_) return false;
  if (::poll(&fds[0], 4, until_ms) < 0) return errno == EINTR;
  if (in_ && fds[0].revents != 0) feed();
  if (out_ && fds[1].revents != 0) drain(out_, output_.out);
  if (err_ && fds[2].revents != 0) drain(err_, output_.err);
  if (!reaped_ && fds[3].revents != 0) {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    output_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    reaped_ = true;
  }
  return true;
}

Output Command::finish() {
  const std::uint64_t deadline = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(spec_.timeout_ms)) * 1000;
  for (;;) {
    const std::uint64_t now = monotonic_usec();
    if (now >= deadline) break;
    if (!pump(static_cast<int>((deadline - now) / 1000 + 1))) return output_;
  }
  if (!reaped_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    reaped_ = true;
  }
  output_.status = -1;
  output_.err += "\n(the deadline passed)";
  return output_;
}

bool Command::await_output(const std::string& text) {
  const std::uint64_t deadline = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(spec_.timeout_ms)) * 1000;
  while (output_.out.find(text) == std::string::npos) {
    const std::uint64_t now = monotonic_usec();
    if (now >= deadline || !out_ || !pump(static_cast<int>((deadline - now) / 1000 + 1))) return false;
  }
  return true;
}

Output run(CommandSpec spec) { return Command(std::move(spec)).finish(); }

}  // namespace sandboxd::test
