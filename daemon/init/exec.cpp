// kExec: one more job, by a plan in a sealed memfd. Whatever is wrong with the plan is that job's failure and nobody else's.
#include "daemon/wire/exec_plan.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

struct Refused {
  const char* step = nullptr;  // nullptr: it went well
  Outcome why{};
};

// A plan that its sender can change or cut after it was checked would be another one, or a SIGBUS in PID 1.
Outcome map_plan(Job& job, int fd) {
  struct stat info {};
  if (const long r = sys::raw(SYS_fstat, fd, &info); r < 0) return {r, "fstat"};
  constexpr long kSealed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  const long seals = sys::raw(SYS_fcntl, fd, F_GET_SEALS, 0);
  if (seals < 0) return {seals, "the plan is no memfd"};
  if ((seals & kSealed) != kSealed) return {-EPERM, "the plan is not sealed"};
  if (info.st_size <= 0 || static_cast<std::uint64_t>(info.st_size) > wire::kMaxExecPlanBytes)
    return {-EMSGSIZE, "the plan's size"};
  const auto size = static_cast<std::size_t>(info.st_size);
  const long at = sys::raw(SYS_mmap, nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0L);
  if (at < 0) return {at, "mmap the plan"};
  job.mapping = reinterpret_cast<const std::uint8_t*>(at);
  job.mapping_size = size;
  return {};
}

Outcome decode_plan(Job& job, int program_fd) {
  const std::span<const std::uint8_t> bytes(job.mapping, job.mapping_size);
  ExecCounts counts{};
  if (const Outcome read = read_exec_plan(bytes, job.plan, counts); !read.ok()) return read;
  if (counts.job != job.number) return {-EPROTO, "the plan is another job's"};
  if (job.plan.program != (program_fd >= 0)) return {-EBADF, "the program's descriptor"};
  const std::size_t size = counts.strings * sizeof(char*);
  const long at = sys::raw(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  if (at < 0) return {at, "mmap for the arguments"};
  fill_exec_strings(bytes, job.plan, reinterpret_cast<char**>(at));
  job.strings_size = size;
  return {};
}

Outcome make_sync(Job& job) {
  int pair[2] = {-1, -1};
  const long r = sys::raw(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, &pair[0]);
  job.sync = pair[0];
  job.inner_sync = pair[1];
  return {r, "socketpair"};
}

Refused prepare(Job& job, int plan_fd, Streams& streams) {
  if (const Outcome done = give_stack(job); !done.ok()) return {"job", done};
  if (const Outcome done = map_plan(job, plan_fd); !done.ok()) return {"plan", done};
  if (const Outcome done = decode_plan(job, job.program); !done.ok()) return {"plan", done};
  if (const Outcome done = make_streams(job, streams); !done.ok()) return {"streams", done};
  if (const Outcome done = make_sync(job); !done.ok()) return {"handshake", done};
  if (const Outcome done = start_kept(job); !done.ok()) return {"keeper", done};
  return {};
}

// Not of the table: there is no entry to say it of.
void refuse(const State& state, std::uint32_t number, long code, const char* text) {
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kJobFailed;
  record.job = number;
  record.code = static_cast<std::int32_t>(-code);
  copy_text(record.step, sizeof record.step, "job");
  copy_text(record.text, sizeof record.text, text);
  send_event(state, record);
}

}  // namespace

void exec_job(State& state, std::uint32_t number, int plan_fd, int program_fd) {
  static constinit bool can_keep = false;
  Outcome keeping{};
  if (!can_keep) keeping = check_keeping();
  can_keep = keeping.ok();
  bool known = number <= wire::kFirstJob || find_job(number) != nullptr;
  Job* job = known || !can_keep ? nullptr : new_job();
  if (job == nullptr && can_keep) {
    collect_told(state);
    known = number <= wire::kFirstJob || find_job(number) != nullptr;
    if (!known) job = new_job();
  }
  if (job == nullptr) {
    sys::raw(SYS_close, plan_fd);
    if (program_fd >= 0) sys::raw(SYS_close, program_fd);
    if (!can_keep) return refuse(state, number, keeping.code, keeping.text);
    if (known) return refuse(state, number, -EEXIST, "the job's number is taken");
    return refuse(state, number, -EAGAIN, "too many jobs are alive");
  }
  job->number = number;
  job->jail = &state.plan;
  job->program = program_fd;
  Streams streams{};
  const Refused refused = prepare(*job, plan_fd, streams);
  sys::raw(SYS_close, plan_fd);
  if (refused.step != nullptr) {
    close_streams(streams);
    fail_job(state, *job, refused.step, refused.why);
    return free_job(*job);
  }
  start_clock(*job);
  if (streams.count == 0) return;
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kStreams;
  record.job = number;
  send_event(state, record, std::span<const int>(streams.outer).first(streams.count));
  close_streams(streams);
}

}  // namespace sandboxd::init
