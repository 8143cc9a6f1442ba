// learn: runs a command under a profile that records what it does, and writes the files of the least profile that lets it do so
// again. Files that are there are never written over: somebody may have edited them, and what is learned is for reading first.
#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/run_options.h"
#include "sandboxd-client/ctl/session.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Expected;
using client::Job;

constexpr client::Milliseconds kTimeout = std::chrono::seconds(10);
constexpr mode_t kFileMode = 0644;
constexpr mode_t kFolderMode = 0755;

struct LearnWanted {
  RunOptions run{};
  std::string output{};
};

// Where the two files go: the filter's folder is the one that the daemon looks into (sandboxd-profile(5)).
struct Files {
  std::string name{}, profile{}, folder{}, filter{};
};

bool is_profile_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && name.size() <= 64 && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

Result<Files> files_of(const std::string& output) {
  constexpr std::string_view kSuffix = ".json", kProfiles = "profiles", kFilters = "filters";
  const std::size_t slash = output.rfind('/');
  const std::string file = slash == std::string::npos ? output : output.substr(slash + 1);
  if (!file.ends_with(kSuffix) || !is_profile_name(std::string_view(file).substr(0, file.size() - kSuffix.size()))) {
    return make_error("-o {}: must be NAME.json, NAME of letters, digits, '-' and '_', a letter first",
                      sandboxd::quoted(output));
  }
  const std::string given = slash == std::string::npos ? "." : output.substr(0, slash);
  char* resolved = ::realpath(given.empty() ? "/" : given.c_str(), nullptr);
  if (resolved == nullptr) return sys_error("find the folder {}", sandboxd::quoted(given));
  std::string folder(resolved);
  ::free(resolved);
  Files files{file.substr(0, file.size() - kSuffix.size()), folder + "/" + file};
  const std::size_t word = folder.find(kProfiles, folder.rfind('/') + 1);
  files.folder = word == std::string::npos ? folder + "/" + std::string(kFilters)
                                           : folder.replace(word, kProfiles.size(), kFilters);
  files.filter = files.folder + "/" + file;
  return files;
}

// Where Yama lets a process look into its own children only, the recorder can't read which paths a command names.
Status check_readable() {
  const Result<std::string> scope = read_file(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope");
  if (!scope.ok() || scope->starts_with('0')) return {};
  return make_error(
      "kernel.yama.ptrace_scope is {}: no path that the command opens can be read; while you learn, set it to 0 "
      "(sysctl kernel.yama.ptrace_scope=0)",
      scope->substr(0, scope->find('\n')));
}

Status check_absent(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0)
    return make_error("{} is there; remove it, or choose another name", sandboxd::quoted(path));
  return errno == ENOENT ? Status() : sys_error("look for {}", sandboxd::quoted(path));
}

Status write_new(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file) return sys_error("create {}", sandboxd::quoted(path));
  return write_all(file.get(), text).context("write {}", sandboxd::quoted(path));
}

Status write_files(const Files& files, const protocol::LearnedProfile& learned) {
  if (::mkdir(files.folder.c_str(), kFolderMode) < 0 && errno != EEXIST)
    return sys_error("create {}", sandboxd::quoted(files.folder));
  TRY(write_new(files.filter, learned.filter));
  return write_new(files.profile, learned.profile);
}

// Does not return: the check of the files takes this process's place.
int write_and_check(const Invocation& invocation, Client& client, const std::string& jail, const Files& files) {
  const Expected<protocol::LearnedProfile> learned = client.learned(jail, files.name);
  if (!learned) return fail(invocation, learned.error());
  if (const Status written = write_files(files, *learned); !written.ok()) return fail(invocation, written.error());
  if (learned->unread != 0 || learned->lost != 0) {
    fail(invocation,
         fmt::format("{} paths could not be read or named, and there was no room for {} more things: the profile lets "
                     "less happen than was seen",
                     learned->unread, learned->lost));
  }
  Invocation check = invocation;
  check.command = {files.filter, files.profile};  // later ones may name earlier ones
  return run_tool(check, "sandboxd-profile", {"check"});
}

int learn(const Invocation& invocation, LearnWanted& wanted) {
  if (wanted.output.empty()) return fail(invocation, "-o is missing: where is the profile to be written, as NAME.json");
  if (wanted.run.detach) return fail(invocation, "--detach: what is learned is written at the command's end");
  const Result<Files> files = files_of(wanted.output);
  if (!files.ok()) return fail(invocation, files.error());
  if (const Status readable = check_readable(); !readable.ok()) return fail(invocation, readable.error());
  for (const std::string& path : {files->profile, files->filter}) {
    if (const Status absent = check_absent(path); !absent.ok()) return fail(invocation, absent.error());
  }
  if (!wanted.run.profile) wanted.run.profile = "learn";
  Result<Request> request = make_request(wanted.run, invocation.command, ::environ);
  if (!request.ok()) return fail(invocation, request.error());
  Result<UniqueFd> signals = watch_signals();
  if (!signals.ok()) return fail(invocation, signals.error());
  Expected<Client> client = connect(invocation.globals, kTimeout);
  if (!client) return fail(invocation, client.error());
  Expected<Job> job = client->begin_run(std::move(request).value());
  if (!job) return fail(invocation, job.error().text, exit_status(job.error()));
  Session session(invocation, std::move(job).value(), std::move(signals).value(), {});
  const int status = session.run();
  if (!session.reported()) return status;
  if (status != 0) {
    fail(invocation, fmt::format("the command's exit status is {}: what it did until then is learned", status));
  }
  return write_and_check(invocation, *client, session.jail(), *files);
}

Action bind_learn(Options& options) {
  auto wanted = std::make_shared<LearnWanted>();
  options.text("--output,-o", wanted->output, "NAME.json",
               "the profile's file; its filter goes into the folder 'filters' beside, or filters.d for profiles.d");
  add_run_options(options, wanted->run);
  return [wanted](const Invocation& invocation) { return learn(invocation, *wanted); };
}

constexpr std::array kVerbs = {
    Verb{"", "learn", "run a command and write the least profile that it needs; for the administrator",
         "[--] COMMAND [ARGUMENT...]", Runs::kCommand, bind_learn},
};

}  // namespace

const std::span<const Verb> kLearnVerbs = kVerbs;

}  // namespace sandboxd::ctl
