#include "daemon/confine/capabilities.h"

#include <array>
#include <cerrno>
#include <string_view>

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/proc_status.h"

namespace sandboxd {
namespace {

// Set and locked, but for the two that must stay 0: those are locked only.
constexpr unsigned long kSecurebits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
                                      SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                                      SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

Status check_empty(std::string_view set, std::uint64_t value) {
  if (value == 0) return {};
  return sys_error_code(EPERM, "{} capability set is {:#x}, must be empty", set, value);
}

template <class Ids> Status check_no_zero(std::string_view what, const Ids& ids) {
  for (const std::uint32_t id : ids) {
    if (id == 0) return sys_error_code(EPERM, "this program must not have {} 0", what);
  }
  return {};
}

Status check_sets(const ProcStatus& status) {
  TRY(check_empty("permitted", status.cap_permitted));
  TRY(check_empty("effective", status.cap_effective));
  TRY(check_empty("inheritable", status.cap_inheritable));
  TRY(check_empty("ambient", status.cap_ambient));
  return check_empty("bounding", status.cap_bounding);
}

}  // namespace

Status check_no_capabilities() {
  TRY_ASSIGN(const ProcStatus status, read_own_status());
  return check_sets(status);
}

Status check_unprivileged() {
  TRY_ASSIGN(const ProcStatus status, read_own_status());
  TRY(check_sets(status));
  TRY(check_no_zero("uid", status.uid));
  TRY(check_no_zero("gid", status.gid));
  return check_no_zero("group", status.groups);
}

Status set_no_new_privs() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return sys_error("prctl PR_SET_NO_NEW_PRIVS");
  return {};
}

Status drop_bounding_set() {
  // Up to the last that this kernel knows, which may be more than this build does: PR_CAPBSET_READ is EINVAL past it.
  for (unsigned long cap = 0;; ++cap) {
    const int held = ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (held < 0) break;
    if (held > 0 && ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
      return sys_error("drop capability {} from the bounding set", cap);
  }
  TRY_ASSIGN(const ProcStatus status, read_own_status());
  return check_empty("bounding", status.cap_bounding);
}

Status lock_securebits() {
  if (::prctl(PR_SET_SECUREBITS, kSecurebits, 0, 0, 0) < 0)
    return sys_error("prctl PR_SET_SECUREBITS {:#x}", kSecurebits);
  const int now = ::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  if (now != static_cast<int>(kSecurebits))
    return sys_error_code(EPERM, "securebits are {:#x}, set {:#x}", now, kSecurebits);
  return {};
}

Status clear_capabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return sys_error("clear ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) < 0) return sys_error("capset to none");
  return {};
}

Status become_unprivileged(uid_t uid, gid_t gid) {
  if (uid == 0 || gid == 0) return sys_error_code(EINVAL, "become uid {}, gid {}", uid, gid);
  TRY(drop_bounding_set());
  TRY(lock_securebits());
  if (::setgroups(0, nullptr) < 0) return sys_error("setgroups to none");
  if (::setresgid(gid, gid, gid) < 0) return sys_error("setresgid {}", gid);
  if (::setresuid(uid, uid, uid) < 0) return sys_error("setresuid {}", uid);
  TRY(clear_capabilities());
  TRY(set_no_new_privs());
  return check_unprivileged();
}

}  // namespace sandboxd
