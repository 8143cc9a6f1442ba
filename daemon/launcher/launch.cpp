#include "daemon/launcher/launch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <optional>
#include <tuple>

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/core_limit.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/socket.h"
#include "base/text.h"
#include "cgroups/usage.h"
#include "daemon/launcher/audit_record.h"
#include "daemon/launcher/claim.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/foreign_mounts.h"
#include "daemon/launcher/init_plan_builder.h"
#include "daemon/launcher/jail_setup.h"
#include "daemon/launcher/landlock_rules.h"
#include "daemon/launcher/limits.h"
#include "daemon/launcher/mounts.h"
#include "daemon/launcher/namespaces.h"
#include "daemon/launcher/read_back.h"
#include "daemon/launcher/root_fill.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/narrow.h"
#include "daemon/wire/nesting.h"
#include "daemon/wire/sync.h"

namespace sandboxd::launcher {
namespace {

constexpr std::uint64_t kStepTimeUsec = 10'000'000;

constexpr std::uint32_t bit_of(wire::StartedFd what) { return 1U << static_cast<unsigned>(what); }

// A step that failed, named; `denied` when a rule refused it.
struct StepError {
  std::string step;
  Error error;
  bool denied = false;
};
using Step = std::optional<StepError>;

#define STEP(name, expression)                                       \
  if (const auto& step_status_ = (expression); !step_status_.ok()) { \
    return StepError{name, step_status_.error(), false};             \
  }

class Launch {
 public:
  Launch(const Host& host, wire::JailPlan plan, const wire::Profile& profile)
      : host_(host),
        plan_(std::move(plan)),
        profile_(profile),
        first_id_(first_id_of(host.slice_first, plan_.number)) {}

  Step run();
  void clean_up();
  Status answer(int connection, std::uint64_t id) const;

 private:
  Step begin();
  Step claim();
  Step send_record();
  Step make_cgroup();
  Step limit_disk();
  Step open_statistics();
  Step make_network();
  Step collect_mounts();
  Step collect_root();
  Step read_resolver();
  Step choose_owner_map(const wire::Bind& bind);
  Step collect_binds();
  Step collect_stdio();
  Step prepare_clone();
  Step clone();
  Step pin_and_map();
  Step await_ack();
  Step await_ready_and_read_back();
  [[nodiscard]] StepError explained(StepError failed) const;
  Result<UniqueFd> clone_client_tree(int fd, bool directory);
  Status say(wire::Sync what);

  const Host& host_;
  wire::JailPlan plan_;
  const wire::Profile& profile_;
  std::uint32_t first_id_;
  Client client_{};
  UniqueFd broker_{}, audit_{};
  std::optional<cgroups::Cgroup> cgroup_{};
  Holding holding_{};
  std::vector<wire::Fact> limit_facts_{};
  std::vector<UniqueFd> cgroup_fds_{};  // of kStarted, what begins with kCgroupKill
  UniqueFd file_owner_{};               // the helper user namespace
  std::vector<UniqueFd> binds_{};
  UniqueFd file_owner_only_{};  // the same without a group
  std::vector<bool> bind_is_directory_{};
  std::vector<int> bind_id_maps_{};  // one of the two
  std::vector<RootEntry> root_entries_{};
  std::vector<UniqueFd> stdio_{};
  std::string resolv_conf_{};
  UniqueFd sync_{}, control_{}, init_plan_{};
  UniqueFd init_sync_{}, init_control_{};
  UniqueFd pidfd_{}, init_process_{};
  std::int32_t init_pid_ = 0;
  std::uint64_t network_inode_ = 0;
  std::uint64_t core_limit_ = 1;
  bool landlock_probe_ = false;
  wire::Started started_{};
};

Step Launch::begin() {
  const auto hard = hard_core_limit();
  STEP("core-limit", hard);
  const auto core_limit = job_core_limit(host_.proc_dir, *hard);
  STEP("core-limit", core_limit);
  core_limit_ = *core_limit;
  started_.broker_uid = 0xFFFFFFFFU;
  if (!plan_.has_token) {
    if (plan_.takes_descriptors()) {
      return StepError{"claim", sys_error_code(EACCES, "the plan names a client's descriptors without a token"), true};
    }
    return {};
  }
  auto begun = begin_claim(host_.runtime_dir + "/broker-claim.sock", plan_);
  if (!begun.ok()) return StepError{"claim", std::move(begun).error(), false};
  broker_ = std::move(begun).value();
  return {};
}

Step Launch::claim() {
  if (!plan_.has_token) return {};
  auto claimed = finish_claim(broker_.get());
  if (!claimed.ok()) return StepError{"claim", std::move(claimed).error(), false};
  client_ = std::move(claimed).value();
  if (auto checked = check_ids(plan_, client_, host_.profiles.config); !checked.ok())
    return StepError{"claim", std::move(checked).error(), true};
  // sandboxd has asked this of the client that called it; whose files these are, only the broker knows.
  if (!client_.who.admin && !may_use(profile_.who, client_.who.uid, client_.who.gid, client_.who.groups))
    return StepError{"claim",
                     sys_error_code(EPERM, "profile {} is for {}", quoted(profile_.name), to_text(profile_.who)), true};
  started_.broker_uid = client_.who.uid;
  return {};
}

// jail.launch, on a connection of the launcher's own; the ack is awaited before the second go.
Step Launch::send_record() {
  wire::Writer argv;
  argv.put(plan_.job.argv);
  started_.plan_hash = sha256(wire::encode(plan_));
  wire::AuditRecord record;
  record.action = "jail.launch";
  record.phase = wire::AuditPhase::kIntent;
  record.outcome = "allow";
  record.request = plan_.request;
  record.jail = plan_.jail;
  record.uid = started_.broker_uid;
  record.detail =
      fmt::format(R"({{"argv_sha256":"{}","number":{},"plan_sha256":"{}","profile":"{}","profile_sha256":"{}"}})",
                  hex(sha256(argv.take())), plan_.number, hex(started_.plan_hash), profile_.name, hex(profile_.hash));
  auto sent = send_audit(host_.runtime_dir, record);
  if (!sent.ok()) return StepError{"audit", std::move(sent).error(), false};
  audit_ = std::move(sent).value();
  return {};
}

Step Launch::await_ack() {
  const auto index = await_audit(audit_.get(), kStepTimeUsec);
  STEP("audit", index);
  started_.audit_index = *index;
  return {};
}

Step Launch::make_cgroup() {
  auto made = cgroups::create_exclusive(host_.jails.cgroup, cgroup_name(plan_.number));
  if (!made.ok()) return StepError{"cgroup", std::move(made).error(), false};
  cgroup_ = std::move(made).value();
  const auto populated = cgroup_->populated();
  STEP("cgroup", populated);
  if (*populated) return StepError{"cgroup", sys_error_code(EBUSY, "a new cgroup is not empty"), false};
  STEP("cgroup", note_profile(*cgroup_, profile_.hash));
  const std::uint64_t reserve = (plan_.session ? kSessionReserve : 0) + (plan_.has_recorder() ? kRecorderReserve : 0);
  auto holding = hold_limits(plan_.limits, host_.jails, host_.profiles.config, host_.proc_dir, reserve);
  if (!holding.ok()) return StepError{"limits", std::move(holding).error(), false};
  holding_ = std::move(holding).value();
  if (reserve != 0) STEP("cgroup", note_reserve(*cgroup_, reserve));
  if (without(Layer::kCgroup)) return {};
  STEP("limits", write_limits(*cgroup_, holding_, with_reserve(plan_.limits, reserve), limit_facts_));
  return {};
}

// The client's descriptors say which disk; the host's /sys is still in sight.
Step Launch::limit_disk() {
  if (!holding_.needs_disk) return {};
  const auto workspace = std::ranges::find(plan_.binds, true, &wire::Bind::workspace);
  if (workspace == plan_.binds.end() || workspace->fd >= client_.fds.size())
    return StepError{"limits", sys_error_code(ENOTBLK, "hold 'io_max': the jail has no workspace, so no disk is known"),
                     false};
  auto disk = cgroups::disk_under(client_.fds[workspace->fd].get()).context("hold 'io_max'");
  STEP("limits", disk);
  STEP("limits", write_disk_limits(*cgroup_, plan_.limits, *disk, limit_facts_));
  return {};
}

Step Launch::make_network() {
  if (plan_.network == wire::NetworkMode::kNone && !without(Layer::kNamespaces)) {
    STEP("network", host_.network >= 0 ? enter_network(host_.network) : enter_new_network());
  } else if (host_.landlock_abi < 6 && plan_.unix_sockets == wire::UnixSockets::kAny) {
    // The host's abstract sockets are in reach, and only Landlock's scope (ABI 6) could keep a job from them.
    return StepError{
        "network",
        sys_error_code(EPERM, "network 'host' with unix_sockets 'any' needs Landlock ABI 6, this kernel has {}",
                       host_.landlock_abi),
        true};
  }
  const UniqueFd self(::openat(host_.proc_dir, std::to_string(::getpid()).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto inode = namespace_inode(self.get(), "net");
  STEP("network", inode);
  network_inode_ = *inode;
  return {};
}

Result<UniqueFd> Launch::clone_client_tree(int fd, bool directory) {
  if (client_.mount_namespace) return clone_in_namespace(client_.mount_namespace.get(), fd, directory);
  return clone_tree(fd, "", directory);
}

// A read-only mount stops neither FIFOs nor sockets, and below a writable place Landlock lets them through, and of a nested jail it
// rules no files. There the map leaves the files' group out: inode_permission() (fs/namei.c) refuses every write to what has an owner without a map, and reading as
// the owner stays. A map can't be empty (EINVAL), so it has a group that no file has.
Step Launch::choose_owner_map(const wire::Bind& bind) {
  const bool read_only = bind.access == wire::Access::kRo;
  const bool owner_only = wire::writable_above(plan_, bind) != nullptr || (profile_.nested && read_only);
  if (owner_only && !file_owner_only_) {
    const std::uint32_t nobodys = first_id_ + kInitOffset;
    auto owner =
        make_file_owner_namespace(host_.proc_dir, {client_.who.uid, first_id_ + kJobOffset}, {nobodys, nobodys});
    STEP("id-maps", owner);
    file_owner_only_ = std::move(owner).value();
  }
  bind_id_maps_.push_back(owner_only ? file_owner_only_.get() : file_owner_.get());
  return {};
}

Step Launch::collect_binds() {
  for (const wire::Bind& bind : plan_.binds) {
    if (Step failed = choose_owner_map(bind)) return failed;
    if (bind.fd >= client_.fds.size())
      return StepError{"workspace", sys_error_code(EBADF, "descriptor {} of {}", bind.fd, client_.fds.size()), true};
    const int fd = client_.fds[bind.fd].get();
    bool directory = false;
    STEP("workspace", check_bind_source(fd, directory).context("{}", quoted(bind.target)));
    auto tree = clone_client_tree(fd, directory).context("{}", quoted(bind.target));
    STEP("workspace", tree);
    binds_.push_back(std::move(tree).value());
    bind_is_directory_.push_back(directory);
  }
  return {};
}

// Read here, where the host's files are in sight: the name is often a link into /run.
Step Launch::read_resolver() {
  if (plan_.network != wire::NetworkMode::kHost) return {};
  auto text = read_file(AT_FDCWD, "/etc/resolv.conf", 65536);
  if (!text.ok() && text.error().code != ENOENT) return StepError{"root", std::move(text).error(), false};
  if (text.ok()) resolv_conf_ = std::move(text).value();
  return {};
}

Step Launch::collect_root() {
  if (plan_.root == wire::RootKind::kUsr) return read_resolver();
  if (plan_.root == wire::RootKind::kHost) {
    const UniqueFd top(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto entries = collect_root_entries(top.get(), -1, true);
    STEP("root", entries);
    root_entries_ = std::move(entries).value();
    return {};
  }
  if (plan_.root_fd >= client_.fds.size())
    return StepError{"root", sys_error_code(EBADF, "descriptor {} of {}", plan_.root_fd, client_.fds.size()), true};
  if (client_.mount_namespace)
    return StepError{
        "root", sys_error_code(EXDEV, "--root from another mount namespace is not supported; bind it instead"), true};
  bool directory = false;
  STEP("root", check_bind_source(client_.fds[plan_.root_fd].get(), directory));
  if (!directory) return StepError{"root", sys_error_code(ENOTDIR, "the root is no directory"), true};
  const AsFileUser reader(client_.who.uid, client_.who.gid);
  auto entries = collect_root_entries(client_.fds[plan_.root_fd].get(), file_owner_.get(), false);
  STEP("root", entries);
  root_entries_ = std::move(entries).value();
  return {};
}

Step Launch::collect_stdio() {
  if (plan_.job.stdio != wire::StdioMode::kInherit) return {};
  for (const std::uint32_t index : plan_.job.stdio_fds) {
    if (index >= client_.fds.size())
      return StepError{"stdio", sys_error_code(EBADF, "descriptor {} of {}", index, client_.fds.size()), true};
    STEP("stdio", check_stdio(client_.fds[index].get()));
    UniqueFd copy(::fcntl(client_.fds[index].get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return StepError{"stdio", sys_error("dup"), false};
    stdio_.push_back(std::move(copy));
  }
  return {};
}

Step Launch::collect_mounts() {
  if (plan_.shows_files()) {
    const std::uint32_t job = first_id_ + (without(Layer::kIds) ? kInitOffset : kJobOffset);
    auto owner = make_file_owner_namespace(host_.proc_dir, {client_.who.uid, job}, {client_.who.gid, job});
    STEP("id-maps", owner);
    file_owner_ = std::move(owner).value();
  }
  if (Step failed = collect_binds()) return failed;
  if (Step failed = collect_root()) return failed;
  return collect_stdio();
}

Step Launch::prepare_clone() {
  auto sync = socket_pair(SOCK_SEQPACKET);
  STEP("clone", sync);
  auto control = socket_pair(SOCK_SEQPACKET);
  STEP("clone", control);
  std::tie(sync_, init_sync_) = std::move(sync).value();
  std::tie(control_, init_control_) = std::move(control).value();
  if (auto held = check_held(plan_, profile_.landlock, host_.landlock_abi); !held.ok())
    return StepError{"landlock", std::move(held).error(), true};
  const InitPlanOptions options{host_.landlock_abi, plan_.session || counts_by_id(host_.jails)};
  wire::InitPlan init = make_init_plan(plan_, profile_, options);
  leave_out_layers(init);
  auto plan = sealed_memfd("init-plan", wire::encode_init_plan(init));
  STEP("clone", plan);
  init_plan_ = std::move(plan).value();
  // From here on this process sees the template instead of the host.
  if (::setns(host_.base.mount_namespace.get(), CLONE_NEWNS) < 0)
    return StepError{"clone", sys_error("setns to the template"), false};
  return {};
}

Step Launch::clone() {
  JailSetup setup{.plan = plan_, .profile = profile_, .base = host_.base, .first_id = first_id_};
  setup.close_first = {sync_.get(), control_.get()};
  clone_args args{};
  int pidfd = -1;
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_INTO_CGROUP |
               CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_PARENT;
  if (without(Layer::kNamespaces)) args.flags &= ~static_cast<std::uint64_t>(CLONE_NEWUTS);
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.cgroup = static_cast<std::uint64_t>(cgroup_->fd());
  // exit_signal 0: CLONE_PARENT takes no other; the launcher reaps with __WALL, sandboxd polls the pidfd.
  const auto pid = clone_owned(args, first_id_ + kOwnerOffset);
  STEP("clone", pid);
  if (*pid == 0) {
    setup.sync = std::move(init_sync_);
    setup.control = std::move(init_control_);
    setup.init_plan = std::move(init_plan_);
    setup.init_program = host_.init_program;
    setup.bind_mounts = std::move(binds_);
    setup.bind_is_directory = bind_is_directory_;
    setup.root_entries = std::move(root_entries_);
    setup.stdio = std::move(stdio_);
    setup.resolv_conf = std::move(resolv_conf_);
    set_up_jail(setup);
  }
  init_pid_ = *pid;
  pidfd_.reset(pidfd);
  init_sync_.reset();
  init_control_.reset();
  init_plan_.reset();
  return {};
}

Status Launch::say(wire::Sync what) {
  const wire::SyncRecord record{what, 0, 0};
  if (::send(sync_.get(), &record, sizeof record, MSG_NOSIGNAL) != sizeof record) return sys_error("tell the jail");
  return {};
}

// The directory is opened first and the pidfd asked after: if the process still lives then, the directory is its own.
Step Launch::pin_and_map() {
  init_process_.reset(::openat(host_.proc_dir, std::to_string(init_pid_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!init_process_) return StepError{"id-maps", sys_error("open /proc/{}", init_pid_), false};
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), 0, nullptr, 0) < 0)
    return StepError{"id-maps", sys_error("probe the new process"), false};
  const std::vector<IdRange> uids = {{kInitInsideId, first_id_ + kInitOffset, 1},
                                     {plan_.inside_uid, first_id_ + kJobOffset, 1}};
  const std::vector<IdRange> gids = {{kInitInsideId, first_id_ + kInitOffset, 1},
                                     {plan_.inside_gid, first_id_ + kJobOffset, 1}};
  STEP("id-maps", write_id_maps(init_process_.get(), uids, gids));
  STEP("id-maps", say(wire::Sync::kMapped));
  // While the jail puts its root together: the client's trees become the job's. The descriptors are shared with it.
  for (std::size_t i = 0; i < binds_.size(); ++i) {
    const std::uint64_t attributes = kProtected | (plan_.binds[i].access == wire::Access::kRo ? MOUNT_ATTR_RDONLY : 0);
    STEP("workspace", add_attributes(binds_[i].get(), attributes, bind_is_directory_[i], bind_id_maps_[i])
                          .context("{}", quoted(plan_.binds[i].target)));
  }
  return {};
}

// What the jail's own set-up takes is the jail's too: the kernel may have killed it for that, and all that we saw is its death.
StepError Launch::explained(StepError failed) const {
  const auto text = cgroup_ ? cgroup_->read("memory.events") : Result<std::string>(Error{});
  const auto events = text.ok() ? cgroups::parse_memory_events(*text) : Result<cgroups::MemoryEvents>(text.error());
  if (events.ok() && events->oom_kill > 0)
    failed.error =
        sys_error_code(ENOMEM, "memory_max is {}, and the jail's own set-up needs more", plan_.limits.memory_max);
  return failed;
}

Step Launch::await_ready_and_read_back() {
  auto ready = wait_readable(sync_.get(), monotonic_usec() + kStepTimeUsec);
  STEP("set-up", ready);
  if (!*ready) return StepError{"set-up", sys_error_code(ETIMEDOUT, "the jail's set-up hangs"), false};
  auto packet = receive_packet(sync_.get(), sizeof(wire::SetupFailure), 0);
  STEP("set-up", packet);
  if (packet->bytes.size() == sizeof(wire::SetupFailure)) {
    wire::SetupFailure failure{};
    std::memcpy(&failure, packet->bytes.data(), sizeof failure);
    failure.step[sizeof failure.step - 1] = failure.text[sizeof failure.text - 1] = '\0';
    return StepError{failure.step, Error{failure.code, failure.text}, false};
  }
  wire::SyncRecord record{};
  if (packet->bytes.size() == sizeof record) std::memcpy(&record, packet->bytes.data(), sizeof record);
  if (record.what != wire::Sync::kReady)
    return StepError{"set-up", sys_error_code(ECHILD, "the jail died while it was set up"), false};
  landlock_probe_ = record.landlock_probe == 1;
  const Expected expected{&plan_,      first_id_,          init_pid_,       network_inode_,  cgroup_name(plan_.number),
                          core_limit_, host_.landlock_abi, profile_.nested, landlock_probe_, &host_.namespaces};
  auto facts = read_back_launch(host_.proc_dir, *cgroup_, expected);
  STEP("read-back", facts);
  started_.readback = std::move(facts).value();
  std::ranges::move(limit_facts_, std::back_inserter(started_.readback.facts));
  std::ranges::move(landlock_facts(plan_, profile_.landlock, host_.landlock_abi),
                    std::back_inserter(started_.readback.facts));
  return {};
}

Step Launch::run() {
  if (auto breach = wire::check_narrows(plan_, profile_))
    return StepError{breach->step, Error{breach->code, breach->detail}, true};
  // The cgroup and the network namespace are made while the broker looks the token up, the jail's root is put together while
  // the record is written: what waits for the disk is awaited last, before the workload's files or code are touched.
  struct Row {
    const char* name;
    Step (Launch::*run)();
  };
  static constexpr std::array kOrder = {
      Row{"launch:begin", &Launch::begin},           Row{"launch:cgroup", &Launch::make_cgroup},
      Row{"launch:network", &Launch::make_network},  Row{"launch:claim", &Launch::claim},
      Row{"launch:disk", &Launch::limit_disk},       Row{"launch:record", &Launch::send_record},
      Row{"launch:mounts", &Launch::collect_mounts}, Row{"launch:prepare", &Launch::prepare_clone},
      Row{"launch:clone", &Launch::clone},           Row{"launch:maps", &Launch::pin_and_map},
      Row{"launch:files", &Launch::open_statistics}, Row{"launch:ack", &Launch::await_ack}};
  for (const Row& row : kOrder) {
    fault_point(row.name);
    if (Step failed = (this->*row.run)()) return explained(std::move(*failed));
  }
  fault_point("launch:acked");
  // A jail whose set-up failed meanwhile has closed its end, and left a record that says why: it is read below.
  if (const Status told = say(wire::Sync::kAcked); !told.ok() && told.error().code != EPIPE)
    return StepError{"set-up", told.error(), false};
  if (Step failed = await_ready_and_read_back()) return explained(std::move(*failed));
  fault_point("launch:go");
  STEP("set-up", say(wire::Sync::kGo));
  fault_point("launch:answer");
  return {};
}

void Launch::clean_up() {
  if (!cgroup_) return;
  // The answer goes out in any case; a number whose cgroup can't be removed stays taken, and says so at its next use.
  static_cast<void>(cgroup_->kill().ok());
  sync_.reset();
  control_.reset();
}

// While the jail puts its root together. What a host without the controller lacks is left out, and its bit with it.
Step Launch::open_statistics() {
  struct Row {
    wire::StartedFd what;
    const char* file;
    int flags = O_RDONLY;
  };
  using enum wire::StartedFd;
  static constexpr std::array kFiles = {Row{kCgroupKill, "cgroup.kill", O_WRONLY},
                                        Row{kCgroupFreeze, "cgroup.freeze", O_RDWR},
                                        Row{kCgroupEvents, "cgroup.events"},
                                        Row{kCpuStat, "cpu.stat"},
                                        Row{kMemoryEvents, "memory.events"},
                                        Row{kMemoryCurrent, "memory.current"},
                                        Row{kMemoryPeak, "memory.peak"},
                                        Row{kMemoryPressure, "memory.pressure"},
                                        Row{kCpuPressure, "cpu.pressure"},
                                        Row{kIoPressure, "io.pressure"},
                                        Row{kIoStat, "io.stat"},
                                        Row{kPidsEvents, "pids.events"},
                                        Row{kPidsCurrent, "pids.current"},
                                        Row{kPidsPeak, "pids.peak"}};
  started_.descriptors = bit_of(kPidfd) | bit_of(kControl);
  for (const Row& row : kFiles) {
    auto fd = cgroup_->open(row.file, row.flags);
    const bool optional = static_cast<std::size_t>(row.what) >= wire::kStartedFdsAlways;
    if (!fd.ok() && optional && fd.error().code == ENOENT) continue;
    if (!fd.ok()) return StepError{"cgroup", std::move(fd).error(), false};
    cgroup_fds_.push_back(std::move(fd).value());
    started_.descriptors |= bit_of(row.what);
  }
  return {};
}

Status Launch::answer(int connection, std::uint64_t id) const {
  wire::Started body = started_;
  body.number = plan_.number;
  body.init_pid = init_pid_;
  body.enforced = holding_.enforced;
  body.unenforced = holding_.unenforced;
  for (const LackingRule& rule : lacking(profile_.landlock, host_.landlock_abi))
    body.unenforced.push_back(fmt::format("landlock.{}", rule.rule));
  std::vector<int> fds = {pidfd_.get(), control_.get()};
  for (const UniqueFd& fd : cgroup_fds_) fds.push_back(fd.get());
  return wire::send(connection, wire::LauncherMessage::kStarted, id, body, fds);
}

Status refuse(int connection, std::uint64_t id, const StepError& failed) {
  // The detail is the context with its hint; sandboxd and the client get the errno beside it.
  return wire::send(connection, wire::LauncherMessage::kFailed, id,
                    wire::Failed{failed.step, failed.error.code, failed.error.context, failed.denied});
}

}  // namespace

std::string slice_name(std::uint32_t slice_first) { return fmt::format("slice-{}", slice_first); }

std::string cgroup_name(std::uint32_t number) { return fmt::format("jail-{}", number); }

bool in_range(std::uint32_t number, const wire::Config& config) {
  return number >= 1 && number < kNumbersPerSlice && number < config.id_pool_count / kIdsPerJail;
}

void launch_child(const Host& host, int connection, const wire::Message& request) {
  arm_faults(host.runtime_dir);
  auto plan = wire::body_of<wire::JailPlan>(request);
  const wire::Profile* profile = plan.ok() ? host.profiles.find(plan->profile) : nullptr;
  if (!plan.ok() || profile == nullptr) {
    Error error = plan.ok() ? sys_error_code(ENOENT, "profile {}", quoted(plan->profile)) : plan.error();
    ::_exit(refuse(connection, request.id, {"narrow", std::move(error), true}).ok() ? 0 : 1);
  }
  if (!in_range(plan->number, host.profiles.config)) {
    Error error = sys_error_code(EINVAL, "number {} is not one of this daemon's", plan->number);
    ::_exit(refuse(connection, request.id, {"number", std::move(error), true}).ok() ? 0 : 1);
  }
  Launch launch(host, std::move(plan).value(), *profile);
  Step failed = launch.run();
  if (!failed) {
    const Status answered = launch.answer(connection, request.id);
    if (answered.ok()) ::_exit(0);
    failed = StepError{"answer", answered.error(), false};
  }
  launch.clean_up();
  const Status refused = refuse(connection, request.id, *failed);
  ::_exit(refused.ok() ? 0 : 1);
}

}  // namespace sandboxd::launcher
