#include "daemon/main/standalone.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/core_limit.h"
#include "base/path.h"
#include "base/socket.h"
#include "base/text.h"
#include "cgroups/root.h"
#include "daemon/main/places.h"
#include "daemon/main/pool.h"
#include "daemon/main/programs.h"
#include "daemon/wire/run_profilec.h"

namespace sandboxd::main {
namespace {

constexpr std::uint64_t kFirstBackoff = 50'000;
constexpr std::uint64_t kLastBackoff = 5'000'000;
constexpr std::uint64_t kLivedLong = 10'000'000;
constexpr std::uint64_t kReadyWithin = 60'000'000;

// In the order of the end: no new jail, no jail, then what jails and records needed.
struct EndRow {
  std::string_view name;
  std::uint64_t patience;
};
constexpr std::array kEnd = {
    EndRow{"sandboxd", 17'000'000},
    EndRow{"sandboxd-launcher", 30'000'000},
    EndRow{"sandboxd-broker", 5'000'000},
    EndRow{"sandboxd-audit", 10'000'000},
};

void log(const std::string& line) { std::fputs(("sandboxd: " + line + "\n").c_str(), stderr); }

struct Child {
  const Program* program = nullptr;
  UniquePid process{};
  std::uint64_t started = 0;
  std::uint64_t backoff = kFirstBackoff;
  std::uint64_t start_at = 0;  // CLOCK_MONOTONIC; 0: it runs
};

class Parent {
 public:
  Parent(const StandaloneOptions& options, Settings settings, Places places)
      : options_(options), settings_(std::move(settings)), places_(std::move(places)) {}

  Status run();

 private:
  Status take_signals();
  Status start(Child& child);
  Status start_due();
  Status wait_for_something();
  Status read_signals();
  Status reap();
  Status on_death(Child& child, int status);
  void read_ready();
  void end();
  void end_one(const EndRow& row);
  void signal(std::string_view name, int number);
  [[nodiscard]] int timeout_ms() const;
  Child* find(std::string_view name);

  const StandaloneOptions& options_;
  Settings settings_;
  Places places_;
  UniqueFd signals_;
  UniqueFd ready_;
  std::array<Child, kPrograms.size()> children_{};
  std::uint64_t ready_deadline_ = 0;
  bool is_ready_ = false;
  bool ending_ = false;
};

Status Parent::take_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGCHLD, SIGHUP, SIGTERM, SIGINT}) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return sys_error("sigprocmask");
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return sys_error("signalfd");
  return {};
}

Status Parent::start(Child& child) {
  UniqueFd write_end;
  if (child.program->name == "sandboxd") {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return sys_error("pipe2");
    ready_.reset(ends[0]);
    write_end.reset(ends[1]);
  }
  TRY_ASSIGN(child.process, start_program(*child.program, settings_, places_, write_end.get()));
  child.started = monotonic_usec();
  child.start_at = 0;
  return {};
}

Status Parent::start_due() {
  for (Child& child : children_) {
    if (child.start_at == 0 || monotonic_usec() < child.start_at) continue;
    const Status started = start(child);
    if (started.ok()) {
      log(fmt::format("{} restarted, pid {}", child.program->name, child.process.pid()));
      continue;
    }
    log(started.error().message());
    child.backoff = std::min(child.backoff * 2, kLastBackoff);
    child.start_at = monotonic_usec() + child.backoff;
  }
  return {};
}

int Parent::timeout_ms() const {
  std::uint64_t next = is_ready_ ? 0 : ready_deadline_;
  for (const Child& child : children_) {
    if (child.start_at != 0 && (next == 0 || child.start_at < next)) next = child.start_at;
  }
  if (next == 0) return -1;
  const std::uint64_t now = monotonic_usec();
  return next <= now ? 0 : static_cast<int>((next - now + 999) / 1000);
}

Status Parent::wait_for_something() {
  std::array<pollfd, 2> entries = {pollfd{signals_.get(), POLLIN, 0}, pollfd{ready_.get(), POLLIN, 0}};
  const int count = ::poll(entries.data(), entries.size(), timeout_ms());
  if (count < 0 && errno != EINTR) return sys_error("poll");
  // Before the signals: the byte that a program wrote just before it died counts.
  if (entries[1].revents != 0) read_ready();
  if (entries[0].revents != 0) TRY(read_signals());
  if (!is_ready_ && !ending_ && monotonic_usec() >= ready_deadline_) {
    return make_error("sandboxd is not ready after {} s", kReadyWithin / 1'000'000);
  }
  return {};
}

void Parent::read_ready() {
  char byte = 0;
  const ssize_t got = ::read(ready_.get(), &byte, 1);
  if (got < 0) return;
  ready_.reset();
  if (got == 0 || is_ready_) return;
  is_ready_ = true;
  log(fmt::format("ready, socket {}", places_.path_of("sandboxd")));
  if (options_.ready) options_.ready();
}

Status Parent::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) ending_ = true;
    if (info.ssi_signo == SIGHUP) signal("sandboxd-launcher", SIGHUP);
  }
  return reap();
}

Child* Parent::find(std::string_view name) {
  for (Child& child : children_) {
    if (child.program != nullptr && child.program->name == name) return &child;
  }
  return nullptr;
}

void Parent::signal(std::string_view name, int number) {
  const Child* child = find(name);
  if (child == nullptr || !child->process.valid()) return;
  if (::syscall(SYS_pidfd_send_signal, child->process.pidfd().get(), number, nullptr, 0) < 0) {
    log(sys_error("signal {}", name).message());
  }
}

// Also whatever a program of ours left behind: this is the subreaper.
Status Parent::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return {};
    for (Child& child : children_) {
      if (child.process.pid() == pid) TRY(on_death(child, status));
    }
  }
}

Status Parent::on_death(Child& child, int status) {
  child.process.release();
  child.process = UniquePid();
  const std::string how = WIFSIGNALED(status) ? fmt::format("was ended by signal {}", WTERMSIG(status))
                                              : fmt::format("exited with {}", WEXITSTATUS(status));
  if (ending_) return {};
  if (!is_ready_) return make_error("{} {} before the daemon was ready", child.program->name, how);
  if (monotonic_usec() - child.started > kLivedLong) child.backoff = kFirstBackoff;
  log(fmt::format("{} {}: it is started again in {} ms", child.program->name, how, child.backoff / 1000));
  child.start_at = monotonic_usec() + child.backoff;
  child.backoff = std::min(child.backoff * 2, kLastBackoff);
  return {};
}

void Parent::end_one(const EndRow& row) {
  Child* child = find(row.name);
  if (child == nullptr || !child->process.valid()) return;
  signal(row.name, SIGTERM);
  const std::uint64_t deadline = monotonic_usec() + row.patience;
  while (child->process.valid()) {
    const auto ended = wait_readable(child->process.pidfd().get(), deadline);
    if (!ended.ok() || !ended.value()) {
      log(fmt::format("{} does not end within {} s and is killed", row.name, row.patience / 1'000'000));
      child->process.end();
      return;
    }
    (void)reap();
  }
}

void Parent::end() {
  ending_ = true;
  for (Child& child : children_) child.start_at = 0;
  for (const EndRow& row : kEnd) end_one(row);
  (void)reap();
}

Status Parent::run() {
  TRY(take_signals());
  ready_deadline_ = monotonic_usec() + kReadyWithin;
  Status status;
  for (std::size_t i = 0; i < kPrograms.size() && status.ok(); ++i) {
    children_[i].program = &kPrograms[i];
    status = start(children_[i]);
  }
  while (status.ok() && !ending_) {
    status = wait_for_something();
    if (status.ok() && !ending_) status = start_due();
  }
  end();
  return status;
}

// The configuration is parsed by profilec alone, under an id of the first free share; it may say which share it is to be.
Result<Slice> take_slice(const Settings& settings) {
  TRY_ASSIGN(Slice slice, lock_free_slice());
  TRY_ASSIGN(const std::string profilec, path_of_program(settings.own_directory, "sandboxd-profilec"));
  const wire::ProfilecRun run{profilec, settings.config, settings.prefix, own_id(slice.first, OwnId::kProfilec),
                              monotonic_usec() + wire::kProfilecTimeUsec};
  TRY_ASSIGN(const wire::LoadedProfiles loaded, wire::run_profilec(run));
  const wire::Config& config = loaded.set.config;
  if (config.id_pool_first != 0 && (config.id_pool_first != slice.first || config.id_pool_count != slice.count)) {
    slice.lock.reset();  // it may be a part of what is asked for
    TRY_ASSIGN(slice, lock_slice(config.id_pool_first, config.id_pool_count));
  }
  TRY(check_pool_is_ours(slice));
  return slice;
}

Status check_start(const StandaloneOptions& options) {
  if (::geteuid() != 0 || ::getuid() != 0) return sys_error_code(EPERM, "--standalone must be started as root");
  for (const std::string* path : {&options.runtime_dir, &options.state_dir}) {
    if (!is_canonical_path(*path) || *path == "/")
      return sys_error_code(EINVAL, "directory {} is not a canonical absolute path", quoted(*path));
  }
  if (!options.config.empty() && !is_canonical_path(options.config))
    return sys_error_code(EINVAL, "configuration {} is not a canonical absolute path", quoted(options.config));
  return {};
}

}  // namespace

Status run_standalone(const StandaloneOptions& options) {
  TRY(check_start(options));
  ::umask(022);
  std::signal(SIGPIPE, SIG_IGN);
  raise_core_limit();
  TRY(cgroups::leave_delegated_top());
  // The first jails of a launcher that died become our children, not the host's.
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) return sys_error("prctl PR_SET_CHILD_SUBREAPER");
  Settings settings;
  settings.config = options.config;
  settings.runtime_dir = options.runtime_dir;
  settings.state_dir = options.state_dir;
  TRY_ASSIGN(settings.own_directory, own_directory());
  settings.prefix = prefix_of(settings.own_directory);
  for (const Program& program : kPrograms) {
    TRY(open_program(settings.own_directory, program.name));
  }
  TRY_ASSIGN(const Slice slice, take_slice(settings));
  settings.slice_first = slice.first;
  settings.numbers = slice.count / kIdsPerJail;
  TRY_ASSIGN(Places places, Places::make(settings.runtime_dir, settings.state_dir, slice.first));
  return Parent(options, std::move(settings), std::move(places)).run();
}

}  // namespace sandboxd::main
