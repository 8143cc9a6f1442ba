// sandboxd-profilec: configuration, profiles and filters in, one sealed memfd out. The launcher starts it with an empty,
// unsealed memfd as descriptor 3, an id of its own, no capability and no_new_privs; it refuses to run with more than that,
// since it parses text. Errors go to stderr, one line each.
//
//   sandboxd-profilec [--config FILE]            fill and seal descriptor 3
//   sandboxd-profilec --check [--config FILE]    for people: load everything, print the names and hashes
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "daemon/profilec/compile_set.h"
#include "daemon/wire/codec.h"

namespace sandboxd::profilec {
namespace {

constexpr int kAnswerFd = 3;

struct Options {
  bool check = false;
  std::string config{};
};

Result<Options> parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--check") {
      options.check = true;
    } else if (word == "--config" && i + 1 < argc) {
      options.config = argv[++i];
    } else {
      return make_error("unknown argument {}; usage: sandboxd-profilec [--check] [--config FILE]",
                        sandboxd::quoted(word));
    }
  }
  return options;
}

// The bounding set may be the launcher's: with no_new_privs no exec gains from it.
Status check_powerless() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &header, sets) < 0) return sys_error("capget");
  for (const auto& set : sets) {
    if ((set.permitted | set.effective | set.inheritable) != 0)
      return sys_error_code(EPERM, "refuse to run with capabilities");
  }
  if (::getuid() == 0 || ::geteuid() == 0)
    return sys_error_code(EPERM, "refuse to run as uid 0, which owns the profiles and the jails' user namespaces");
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return sys_error_code(EPERM, "refuse to run without no_new_privs");
  return {};
}

Status hand_over(const wire::ProfileSet& set) {
  struct stat info {};
  if (::fstat(kAnswerFd, &info) < 0) return sys_error("descriptor 3");
  if (info.st_size != 0) return sys_error_code(EINVAL, "descriptor 3 is not empty");
  const std::vector<std::uint8_t> bytes = wire::encode(set);
  TRY(write_all(kAnswerFd, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).context("descriptor 3"));
  if (::fcntl(kAnswerFd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
    return sys_error("seal descriptor 3");
  return {};
}

void print(const wire::ProfileSet& set) {
  for (const wire::Profile& profile : set.profiles) {
    fmt::print("{} {} {} ({} instructions)\n", hex(profile.hash), profile.name, profile.source,
               profile.filter.size() / 8);
  }
}

Status run(int argc, char** argv) {
  TRY_ASSIGN(const Options options, parse_options(argc, argv));
  if (!options.check) TRY(check_powerless());
  TRY_ASSIGN(const std::string shipped, shipped_profile_folder());
  TRY_ASSIGN(const wire::ProfileSet set,
             compile_set({options.config, shipped, options.check ? Owner::kAnyone : Owner::kRoot}));
  if (!options.check) return hand_over(set);
  print(set);
  return {};
}

}  // namespace
}  // namespace sandboxd::profilec

int main(int argc, char** argv) {
  try {
    const sandboxd::Status status = sandboxd::profilec::run(argc, argv);
    if (status.ok()) return EXIT_SUCCESS;
    fmt::print(stderr, "sandboxd-profilec: {}\n", status.error().message());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sandboxd-profilec: %s\n", error.what());
  }
  return EXIT_FAILURE;
}
