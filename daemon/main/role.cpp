#include "daemon/main/role.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/listen_fds.h"
#include "base/text.h"
#include "base/user_names.h"
#include "daemon/api/server.h"
#include "daemon/confine/confine.h"
#include "daemon/jails/job_log.h"
#include "daemon/jails/make_supervisor.h"
#include "daemon/jails/watch.h"
#include "daemon/main/features.h"
#include "daemon/main/jail_files.h"

namespace sandboxd::main {
namespace {

constexpr std::uint64_t kEndWithin = 12'000'000;  // the jobs' grace, and the time after which a jail is called stuck

struct UnrefLoop {
  void operator()(sd_event* loop) const noexcept { sd_event_unref(loop); }
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::uint32_t> number_variable(const char* name, std::uint32_t least, std::uint32_t most) {
  const std::string text = variable(name);
  const auto value = parse_uint(text, most);
  if (!value || *value < least) return make_error("environment variable {} is {}", name, quoted(text));
  return static_cast<std::uint32_t>(*value);
}

// What of our descriptors is for what. A connection may have some of them under way in either direction.
struct DescriptorShares {
  std::uint32_t connections = 0;  // of all users
  std::uint64_t jails = 0;        // descriptors of their jails, jobs and logs
};

Result<DescriptorShares> share_descriptors() {
  constexpr std::uint64_t kOwn = 256, kPerConnection = 4, kMostConnections = 4096, kLeast = 1024;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return sys_error("getrlimit RLIMIT_NOFILE");
  if (limit.rlim_cur < kLeast) return make_error("RLIMIT_NOFILE is {}, must be {} or more", limit.rlim_cur, kLeast);
  const std::uint64_t connections = std::min(kMostConnections, limit.rlim_cur / 16);
  return DescriptorShares{static_cast<std::uint32_t>(connections),
                          limit.rlim_cur - kOwn - connections * kPerConnection};
}

// The kernel keeps kernel.pty.reserve for the host's own devpts; a quarter of the rest is for others than jails. A host whose
// kernel says nothing of it has no terminals for anybody.
std::uint64_t terminals_for_jails() {
  const auto number = [](const char* path) {
    const auto text = read_file(AT_FDCWD, path, 64);
    const std::string_view digits = text.ok() ? std::string_view(*text) : std::string_view();
    return parse_uint(digits.substr(0, digits.find('\n')), UINT32_MAX).value_or(0);
  };
  const std::uint64_t most = number("/proc/sys/kernel/pty/max"), reserve = number("/proc/sys/kernel/pty/reserve");
  return most > reserve ? (most - reserve) / 4 * 3 : 1;
}

class Role {
 public:
  Status run();

 private:
  Status prepare();
  Status serve(const wire::Config& config);
  void tell_ready();
  void end();
  Status add_signal(int number);

  std::unique_ptr<sd_event, UnrefLoop> loop_;
  DescriptorShares descriptors_;
  UniqueFd public_listen_, admin_listen_, ready_, jail_files_;
  std::unique_ptr<jails::Supervisor> supervisor_;
  std::unique_ptr<api::Server> server_;
  jails::Timer end_timer_;
  bool ended_ = false;
};

// All that is outside of what Landlock leaves is read here.
Status Role::prepare() {
  TRY_ASSIGN(public_listen_, take_listen_fd("sandboxd"));
  TRY_ASSIGN(admin_listen_, take_listen_fd("admin"));
  forget_listen_fds();
  if (!variable("SANDBOXD_READY_FD").empty()) {
    TRY_ASSIGN(const std::uint32_t fd, number_variable("SANDBOXD_READY_FD", 3, 1 << 20));
    if (::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC) < 0) return sys_error("SANDBOXD_READY_FD");
    ready_.reset(static_cast<int>(fd));
  }
  jails::Deps deps;
  const std::string runtime_dir = variable("SANDBOXD_RUNTIME_DIR");
  if (runtime_dir.empty()) return make_error("environment variable SANDBOXD_RUNTIME_DIR is not set");
  deps.launcher_socket = runtime_dir + "/launcher.sock";
  deps.audit_socket = runtime_dir + "/audit.sock";
  TRY_ASSIGN(deps.slice_first, number_variable("SANDBOXD_SLICE_FIRST", kPoolFirst, kPoolLast));
  deps.numbers = kNumbersPerSlice;
  if (!variable("SANDBOXD_NUMBERS").empty()) {
    TRY_ASSIGN(deps.numbers, number_variable("SANDBOXD_NUMBERS", 2, kNumbersPerSlice));
  }
  TRY_ASSIGN(const std::string passwd, read_file(AT_FDCWD, "/etc/passwd", 16U << 20));
  deps.user_names = parse_passwd(passwd);
  deps.features = probe_features();
  TRY_ASSIGN(jail_files_, load_jail_files());
  deps.log_directory = variable("SANDBOXD_STATE_DIR") + "/logs";
  TRY(jails::empty_log_directory(deps.log_directory));
  TRY_ASSIGN(descriptors_, share_descriptors());
  deps.descriptors = descriptors_.jails;
  deps.terminals = terminals_for_jails();
  deps.ready = [this](const wire::Config& config) {
    const Status served = serve(config);
    if (served.ok()) return;
    spdlog::critical("{}", served.error().message());
    sd_event_exit(loop_.get(), 1);
  };
  ::tzset();
  sd_event* loop = nullptr;
  const int code = sd_event_new(&loop);
  if (code < 0) return sys_error_code(-code, "sd_event_new");
  loop_.reset(loop);
  sd_event_set_watchdog(loop, 1);
  TRY(add_signal(SIGTERM));
  TRY(add_signal(SIGINT));
  TRY(confine_self(Program::kSandboxd, {.readable = {}, .writable = {deps.log_directory}}));
  supervisor_ = jails::make_supervisor(loop_.get(), std::move(deps));
  return {};
}

Status Role::add_signal(int number) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return sys_error("sigprocmask");
  const auto handler = [](sd_event_source*, const signalfd_siginfo*, void* self) noexcept {
    static_cast<Role*>(self)->end();
    return 0;
  };
  const int code = sd_event_add_signal(loop_.get(), nullptr, number, handler, this);
  if (code < 0) return sys_error_code(-code, "sd_event_add_signal");
  return {};
}

// Until now clients waited in the sockets' backlogs.
Status Role::serve(const wire::Config& config) {
  api::Limits limits;
  limits.all_connections = descriptors_.connections;
  limits.connections = std::min(config.user_connections, descriptors_.connections / 2);
  limits.calls_per_second = config.user_calls_per_second;
  limits.pending_bytes = config.user_pending_bytes;
  TRY_ASSIGN(server_, api::Server::create(loop_.get(), std::move(public_listen_), std::move(admin_listen_),
                                          *supervisor_, limits, {}, std::move(jail_files_)));
  tell_ready();
  return {};
}

void Role::tell_ready() {
  spdlog::info("ready");
  if (ready_ && ::write(ready_.get(), "R", 1) != 1) spdlog::warn("{}", sys_error("tell that we are ready").message());
  ready_.reset();
  sd_notify(0, "READY=1");
}

void Role::end() {
  if (std::exchange(ended_, true)) return;
  spdlog::info("ending: the jails first");
  sd_notify(0, "STOPPING=1");
  const Status armed = end_timer_.arm(loop_.get(), kEndWithin, [this] {
    spdlog::error("not every jail ended in time");
    sd_event_exit(loop_.get(), 0);
  });
  if (!armed.ok()) spdlog::error("{}", armed.error().message());
  // Clients hear how their jails ended; what they ask for now is refused.
  supervisor_->end([this] { sd_event_exit(loop_.get(), 0); });
}

Status Role::run() {
  TRY(prepare());
  const int code = sd_event_loop(loop_.get());
  server_.reset();
  if (code < 0) return sys_error_code(-code, "event loop");
  if (code > 0) return make_error("the daemon could not serve");
  return {};
}

void set_up_log() {
  auto logger = spdlog::stderr_logger_st("sandboxd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z sandboxd %l: %v");
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

Status run_role() {
  std::signal(SIGPIPE, SIG_IGN);
  set_up_log();
  return Role().run();
}

}  // namespace sandboxd::main
