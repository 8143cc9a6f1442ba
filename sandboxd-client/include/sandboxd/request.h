// What a jail is asked for: the values, and the caller's files. Files are opened here, by this process and with its rights,
// for reading; they reach the jail through sandboxd's broker, never through sandboxd itself. Nothing is created.
#pragma once

#include <string>
#include <vector>

#include <sandboxd/job.h>
#include <sandboxd/result.h>

namespace sandboxd::client {

using protocol::Access;
using protocol::AskedLimits;
using protocol::Denial;
using protocol::Denials;
using protocol::Enforced;
using protocol::ExecSpec;
using protocol::Fact;
using protocol::JailInfo;
using protocol::JailStats;
using protocol::JobInfo;
using protocol::JobReport;
using protocol::JobSpec;
using protocol::Labels;
using protocol::LearnedProfile;
using protocol::Network;
using protocol::Root;
using protocol::Stdio;
using protocol::Survivors;
using protocol::Tmpfs;
using protocol::Usage;
using protocol::Verdict;
using protocol::WindowSize;

struct SANDBOXD_CLIENT_API Request {
  JobSpec spec{};         // `token` is set by the call; indexes of descriptors by the functions below
  std::vector<Fd> fds{};  // what those indexes mean
  // Sends this process's mount namespace too: needed in a container, or in a unit with PrivateTmp=.
  bool mount_namespace = false;

  // The directory to work in. `target`: where it appears in the jail; at its own path when empty.
  Expected<void> workspace(const std::string& directory, Access access = Access::kRo,
                           const std::string& target = {}) noexcept;
  // A file or directory.
  Expected<void> bind(const std::string& source, Access access = Access::kRo, const std::string& target = {}) noexcept;
  // The jail's root, in place of /usr and a made-up /etc; read-only.
  Expected<void> root_directory(const std::string& directory) noexcept;
  // The job gets this process's standard descriptors: pipes, regular files or /dev/null.
  Expected<void> inherit_stdio() noexcept;
};

// "exited", "timeout_wall" ...
[[nodiscard]] SANDBOXD_CLIENT_API std::string_view verdict_name(Verdict verdict) noexcept;

}  // namespace sandboxd::client
