#include "daemon/wire/init_plan.h"

#include <cerrno>

#include <sys/mman.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "daemon/init/init.h"

namespace sandboxd::init {
namespace {

constinit std::array<char*, kMaxStrings + 2> g_strings{};  // argv, NULL, env, NULL

// A text whose counted length ends with its NUL, so that the pointer can be handed to the kernel as it is.
const char* text_of(wire::View& view) {
  const std::string_view text = view.bytes();
  if (text.empty() || text.data()[text.size() - 1] != '\0') {
    view.fail();
    return "";
  }
  return text.data();
}

std::size_t put_strings(wire::View& view, std::size_t at) {
  const std::uint32_t count = view.count();
  if (count > kMaxStrings - at) {
    view.fail();
    return at;
  }
  for (std::uint32_t i = 0; i < count; ++i) g_strings[at++] = const_cast<char*>(text_of(view));
  g_strings[at++] = nullptr;
  return at;
}

void read_rlimits(wire::View& view, Plan& plan) {
  JobPlan& job = plan.job;
  job.rlimit_count = view.count();
  if (job.rlimit_count > kMaxRlimits) return view.fail();
  for (std::size_t i = 0; i < job.rlimit_count; ++i) {
    job.rlimits[i].resource = view.number<std::uint32_t>();
    job.rlimits[i].soft = view.number<std::uint64_t>();
    job.rlimits[i].hard = view.number<std::uint64_t>();
  }
}

void read_landlock(wire::View& view, Plan& plan) {
  plan.landlock_fs = view.number<std::uint64_t>();
  plan.landlock_net = view.number<std::uint64_t>();
  plan.landlock_scoped = view.number<std::uint64_t>();
  plan.landlock_count = view.count();
  if (plan.landlock_count > kMaxLandlockRows) return view.fail();
  for (std::size_t i = 0; i < plan.landlock_count; ++i) {
    plan.landlock[i].path = text_of(view);
    plan.landlock[i].access = view.number<std::uint64_t>();
    plan.landlock[i].no_symlinks = view.number<std::uint8_t>() != 0;
  }
  plan.port_count = view.count();
  if (plan.port_count > kMaxLandlockRows) return view.fail();
  for (std::size_t i = 0; i < plan.port_count; ++i) {
    plan.ports[i].access = view.number<std::uint64_t>();
    plan.ports[i].port = view.number<std::uint64_t>();
  }
}

void read_filter(wire::View& view, Plan& plan) {
  plan.filter_count = view.number<std::uint32_t>();
  if (plan.filter_count == 0 || plan.filter_count > BPF_MAXINSNS) return view.fail();
  view.align(8);
  plan.filter = reinterpret_cast<const sock_filter*>(view.skip(plan.filter_count * sizeof(sock_filter)));
}

void read_tmpfs(wire::View& view, Plan& plan) {
  plan.tmpfs_count = view.count();
  if (plan.tmpfs_count > kMaxTmpfs) return view.fail();
  for (std::size_t i = 0; i < plan.tmpfs_count; ++i) plan.tmpfs[i] = text_of(view);
}

// No other build knows kKeepCapabilities.
#if defined(SANDBOXD_FAULT)
constexpr unsigned kKnownFlags = 15;
#else
constexpr unsigned kKnownFlags = 7;
#endif

}  // namespace

Outcome read_plan(int fd, Plan& plan) {
  struct stat info {};
  if (const long r = sys::raw(SYS_fstat, fd, &info); r < 0) return {r, "fstat plan"};
  const auto size = static_cast<std::size_t>(info.st_size);
  const long at = sys::raw(SYS_mmap, nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0L);
  if (at < 0) return {at, "mmap plan"};
  sys::raw(SYS_close, fd);
  wire::View view(reinterpret_cast<const std::uint8_t*>(at), size);
  if (view.number<std::uint32_t>() != wire::kInitPlanMagic) return {-EPROTO, "plan magic"};
  plan.job_uid = view.number<std::uint32_t>();
  plan.job_gid = view.number<std::uint32_t>();
  plan.job.wall_time = view.number<std::uint64_t>();
  plan.job.stdio = view.number<std::uint8_t>();
  const auto flags = view.number<std::uint8_t>();
  if ((flags & ~kKnownFlags) != 0) view.fail();
  plan.job.merge_stderr = (flags & static_cast<unsigned>(wire::InitFlag::kMergeStderr)) != 0;
  plan.explain = (flags & static_cast<unsigned>(wire::InitFlag::kExplain)) != 0;
  plan.learn = (flags & static_cast<unsigned>(wire::InitFlag::kLearn)) != 0;
#if defined(SANDBOXD_FAULT)
  plan.keep_capabilities = (flags & static_cast<unsigned>(wire::InitFlag::kKeepCapabilities)) != 0;
#endif
  plan.job.rows = view.number<std::uint16_t>();
  plan.job.columns = view.number<std::uint16_t>();
  read_rlimits(view, plan);
  read_landlock(view, plan);
  read_filter(view, plan);
  read_tmpfs(view, plan);
  plan.job.workdir = text_of(view);
  plan.job.argv = g_strings.data();
  const std::size_t env = put_strings(view, 0);
  plan.job.env = g_strings.data() + env;
  put_strings(view, env);
  if (!view.finished()) return {-EPROTO, "decode plan"};
  return {};
}

}  // namespace sandboxd::init
