// Marks that one jail could leave for another, its own cgroup, counts of the whole host, and ways around the filter by threads and
// filters of a job's own.
#include <cstring>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/escape/check_groups.h"

namespace sandboxd::test {
namespace {

// Beside the daemon's own, as a program of root's would make one.
void make_cgroup(Ground& ground) {
  const std::string slice = slice_cgroup(ground.stack().slice());
  ASSERT_NE(slice, "");
  const std::string path =
      fmt::format("{}/escape-check-{}", std::filesystem::path(slice).parent_path().string(), ::getpid());
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0) << path << ": " << std::strerror(errno);
  ground.name("cgroup", path);
  ground.afterwards([=] { ::rmdir(path.c_str()); });
}

void make_own_file(Ground& ground) { ground.write("own", "text\n"); }

}  // namespace

std::vector<Check> channel_checks() {
  return {
      {.id = "E16",
       .name = "MarksOnSharedFiles",
       .what = "leaves a mark on a file, a device or a folder that other jails see: times, modes, hints, attributes, "
               "leases",
       .origin = "runc#5275; isolate 2.4 to 2.6",
       .command = {"probe_channels", "mark", "/usr/bin/env", "/usr", "/etc", "/dev/null", "/dev", "/proc/keys",
                   "/sys/devices/system/cpu"},
       .shown = {"utimes", "utimes-now", "access-time", "chmod", "chown", "setxattr", "lease", "write-hint", "truncate",
                 "link"},
       .control = {"probe_channels", "mark", "{workspace}/own", "{workspace}"},
       .workspace = Workspace::kReadOnly,
       .prepare = make_own_file,
       .host_may_refuse = {"access-time"}},
      {.id = "E21",
       .name = "OwnCgroup",
       .what = "writes to the files of its own cgroup, moves a process out of it, makes cgroups below and beside it",
       .origin = "CVE-2022-0492; crun PR#2117; runc#2105 (a jail that freezes itself: E22)",
       .command = {"probe_channels", "cgroup", "/sys/fs/cgroup"},
       .shown = {"cgroup.procs", "cgroup.freeze", "cgroup.kill", "cgroup.max.descendants", "../cgroup.procs", "below",
                 "beside", "chmod"},
       .control = {"probe_channels", "cgroup", "{cgroup}"},
       .outside = 0,
       .prepare = make_cgroup},
      {.id = "E36",
       .name = "ThreadsAndOwnFilters",
       .what = "calls from a thread, from a thread's child, under filters of its own; takes the one listener's place",
       .origin = "threads without TSYNC; a listener of the job's own would shadow the daemon's",
       .command = {"probe_channels", "threads"},
       .shown = {"listener", "listener-high-bits", "listener-tsync", "under-an-own-filter", "thread-without-filter",
                 "child-of-thread-without-filter", "call-of-a-thread"}},
      {.id = "E37",
       .name = "RewrittenArguments",
       .what = "changes in one thread what another has given to a call by a pointer: clone3's flags",
       .origin = "sandlock#27; a check of memory that its owner can change is none",
       .command = {"probe_channels", "rewrite"},
       .shown = {"clone3"}},
      {.id = "E37",
       .name = "SignalStorm",
       .what = "makes refused calls under a storm of signals, and has children killed in the middle of one",
       .origin = "sandlock#235, #240 and #241; nono#1208",
       .command = {"probe_channels", "storm"},
       .shown = {"in-the-storm", "after-it"}},
      {.id = "E46",
       .name = "CountsOfTheHost",
       .what = "takes of what the kernel counts for the whole host and for no user: contexts of native AIO",
       .origin = "found here; fs.aio-max-nr",
       .command = {"probe_channels", "counts"},
       .shown = {"io_setup"}},
  };
}

}  // namespace sandboxd::test
