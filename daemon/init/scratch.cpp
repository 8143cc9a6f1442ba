// Which of the jail's tmpfs are full, for the event disk_full. Only here is it known: sandboxd has no way into the jail's mounts.
// A path that can't be looked at (the filter refuses statfs, or a job has moved what it leads through) counts as not full: it is
// the jail's own news that is lost.
#include <sys/statfs.h>

#include "base/sys.h"
#include "daemon/init/init.h"

namespace sandboxd::init {
namespace {

bool is_full(const char* path) {
  struct statfs found {};
  if (sys::raw(SYS_statfs, path, &found) < 0) return false;
  return (found.f_blocks != 0 && found.f_bavail == 0) || (found.f_files != 0 && found.f_ffree == 0);
}

}  // namespace

void tell_full(const State& state) {
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kFull;
  for (std::size_t i = 0; i < state.plan.tmpfs_count; ++i) {
    if (is_full(state.plan.tmpfs[i])) record.full |= 1ULL << i;
  }
  send_event(state, record);
}

}  // namespace sandboxd::init
