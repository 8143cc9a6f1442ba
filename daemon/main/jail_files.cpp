#include "daemon/main/jail_files.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/file.h"
#include "daemon/main/programs.h"

namespace sandboxd::main {
namespace {

constexpr const char* kName = "sandboxd-jail-files";
constexpr std::size_t kMostBytes = 64U << 20;
// Debian 12's headers end before it. Linux 6.3; needed where the sysctl vm.memfd_noexec is 1 (memfd_create(2)).
constexpr unsigned kMfdExec = 0x10;
constexpr mode_t kExecuteOnly = 0111;

Result<UniqueFd> executable_memfd() {
  UniqueFd fd(::memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdExec));
  if (!fd && errno == EINVAL) fd.reset(::memfd_create(kName, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return sys_error("memfd_create {}", kName);
  return fd;
}

}  // namespace

Result<UniqueFd> load_jail_files() {
  TRY_ASSIGN(const std::string directory, own_directory());
  TRY_ASSIGN(const UniqueFd program, open_program(directory, kName));
  const UniqueFd file(::open(fmt::format("/proc/self/fd/{}", program.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return sys_error("open {}", kName);
  TRY_ASSIGN(const std::string bytes, read_fd(file.get(), kMostBytes));
  TRY_ASSIGN(UniqueFd memory, executable_memfd());
  TRY(write_all(memory.get(), bytes));
  // All jails run this one file: who could open it for writing could leave extended attributes and times on it for the jails of
  // others, seals or not (a memfd's own mode is 0777), and who could read it could lock it. Nor can what isn't readable be traced.
  if (::fchmod(memory.get(), kExecuteOnly) < 0) return sys_error("chmod {}", kName);
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
    return sys_error("seal {}", kName);
  return memory;
}

}  // namespace sandboxd::main
