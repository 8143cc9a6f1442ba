#include "daemon/init/learner.h"

#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/sys.h"
#include "daemon/wire/init_control.h"

namespace sandboxd::init {
namespace {

using wire::LearnedKind;
using wire::LearnedPart;

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif
constexpr std::size_t kPath = 4096;
constexpr std::size_t kSlots = 2 * wire::kMostLearnedEntries;  // a power of two
constexpr std::uint64_t kHashStart = 14695981039346656037ULL;  // FNV-1a

struct Slot {
  std::uint64_t hash = 0;  // 0: free
  std::uint32_t id = 0;
};

// One hash table for texts, one for entries: what differs and has the same hash is taken for the same, as one in 2^40 will be.
struct Learner {
  std::array<Slot, kSlots> texts{}, entries{};
  std::array<std::atomic<std::uint32_t>, wire::kMostLearnedEntries> counts{};
  std::atomic<std::uint32_t> entry_count{0};
  std::uint32_t text_count = 1;                        // 0 is jail-init
  std::array<bool, wire::kMostLearnedTexts> looked{};  // at what is mapped, by the program's text
  const Plan* plan = nullptr;
  bool begun = false;
  std::uint32_t parts = 0, lost = 0, unread = 0, said = 0;
  char path[kPath + 64];  // what is opened
  char text[kPath];       // of the job's memory
  char found[kPath];      // what a descriptor is of
  char program[kPath];
  char maps[kPath];
};
// Zeros: nothing of it is touched in a jail that doesn't learn.
constinit Learner g_learner{};

std::uint64_t hash_bytes(const char* bytes, std::size_t size, std::uint64_t hash = kHashStart) {
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<std::uint8_t>(bytes[i])) * 1099511628211ULL;
  return hash == 0 ? 1 : hash;
}

std::size_t length_of(const char* text) {
  std::size_t size = 0;
  while (text[size] != '\0') ++size;
  return size;
}

bool has_end(const char* bytes, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    if (bytes[i] == '\0') return true;
  }
  return false;
}

bool starts_with(const char* text, const char* start) {
  while (*start != '\0') {
    if (*text++ != *start++) return false;
  }
  return true;
}

// The slot that has the hash or is free for it; nullptr: full.
Slot* slot_of(std::array<Slot, kSlots>& slots, std::uint64_t hash) {
  for (std::size_t i = 0; i < slots.size() / 2; ++i) {
    Slot& slot = slots[(hash + i) % slots.size()];
    if (slot.hash == 0 || slot.hash == hash) return &slot;
  }
  return nullptr;
}

// Waits for room: the job waits with us, so nothing is lost of what fits the bounds.
bool send_part(const LearnedPart& part) {
  if (g_learner.parts >= wire::kMostLearned / 2) {
    ++g_learner.lost;
    return true;
  }
  ++g_learner.parts;
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kLearned;
  __builtin_memcpy(&record.text[0], &part, sizeof part);
  long sent = -EINTR;
  while (sent == -EINTR)
    sent = sys::raw(SYS_sendto, wire::kInitControlFd, &record, sizeof record, MSG_NOSIGNAL, nullptr, 0);
  return sent == sizeof record;
}

// The number of a text, told when it is new; 0 with `ok` false when that failed.
std::uint32_t text_number(const char* text, bool& ok) {
  Learner& all = g_learner;
  const std::size_t size = length_of(text);
  const std::uint64_t hash = hash_bytes(text, size);
  Slot* slot = slot_of(all.texts, hash);
  if (slot == nullptr || (slot->hash == 0 && all.text_count >= wire::kMostLearnedTexts)) {
    ++all.lost;
    return 0;
  }
  if (slot->hash != 0) return slot->id;
  *slot = {hash, all.text_count++};
  for (std::size_t at = 0; at < size && ok;) {
    LearnedPart part{LearnedKind::kText, slot->id, 0, 0, 0, {}};
    const std::size_t left = size - at;
    const std::size_t count = left < sizeof part.bytes ? left : sizeof part.bytes;
    __builtin_memcpy(&part.bytes[0], text + at, count);
    at += count;
    part.a = static_cast<std::uint32_t>(count);
    part.b = at < size ? 1 : 0;
    ok = send_part(part);
  }
  return slot->id;
}

// Counts it, and tells of it when it is new.
bool note(LearnedKind kind, std::uint32_t program, std::uint32_t a, std::uint64_t b) {
  Learner& all = g_learner;
  const std::uint64_t key[2] = {static_cast<std::uint64_t>(kind) << 32 | a, b};
  const std::uint64_t hash = hash_bytes(reinterpret_cast<const char*>(&key[0]), sizeof key);
  Slot* slot = slot_of(all.entries, hash);
  const std::uint32_t count = all.entry_count.load(std::memory_order_relaxed);
  if (slot == nullptr || (slot->hash == 0 && count >= wire::kMostLearnedEntries)) {
    ++all.lost;
    return true;
  }
  if (slot->hash != 0) {
    all.counts[slot->id].fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  *slot = {hash, count};
  all.counts[count].store(1, std::memory_order_relaxed);
  if (!send_part({kind, count, program, a, b, {}})) return false;
  all.entry_count.store(count + 1, std::memory_order_release);
  return true;
}

struct Writer {
  char* to;
  std::size_t size;
  std::size_t at = 0;
  void add(const char* text) {
    while (*text != '\0' && at + 1 < size) to[at++] = *text++;
    to[at] = '\0';
  }
  void add(std::uint32_t number) {
    char digits[12];
    std::size_t count = sizeof digits - 1;
    digits[count] = '\0';
    do digits[--count] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    add(&digits[count]);
  }
};

Writer proc_path(std::uint32_t pid, const char* name) {
  Writer path{&g_learner.path[0], sizeof g_learner.path};
  path.add("/proc/");
  path.add(pid);
  path.add(name);
  return path;
}

bool read_link(const char* path, char* to) {
  const long got = sys::raw(SYS_readlinkat, AT_FDCWD, path, to, kPath - 1);
  to[got < 0 ? 0 : got] = '\0';
  return got > 0;
}

// What memory holds at an address, up to `size`; -errno.
long read_memory(std::uint32_t pid, std::uint64_t address, void* to, std::size_t size) {
  proc_path(pid, "/mem");
  const long fd = sys::raw(SYS_openat, AT_FDCWD, &g_learner.path[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  // Page by page: the next one may not be there, and need not.
  std::size_t done = 0;
  long got = 0;
  while (done < size) {
    const std::size_t page = kPath - (address + done) % kPath;
    const std::size_t count = page < size - done ? page : size - done;
    got = sys::raw(SYS_pread64, fd, static_cast<char*>(to) + done, count, address + done);
    if (got <= 0) break;
    const bool ends = has_end(static_cast<char*>(to) + done, static_cast<std::size_t>(got));
    done += static_cast<std::size_t>(got);
    if (ends) break;
  }
  sys::raw(SYS_close, fd);
  return done > 0 ? static_cast<long>(done) : got;
}

// A text of the job's, in g_learner.text; false: there is none to be had. The kernel gets EFAULT for a bad address as we do.
bool read_text(std::uint32_t pid, std::uint64_t address) {
  Learner& all = g_learner;
  const long got = read_memory(pid, address, &all.text[0], sizeof all.text);
  if (got == -EACCES || got == -EPERM || got == -ENOENT) ++all.unread;
  if (got <= 0) return false;
  return has_end(&all.text[0], static_cast<std::size_t>(got)) && all.text[0] != '\0';
}

bool is_own(const char* path, const char* top) {
  const std::size_t size = length_of(top);
  return starts_with(path, top) && (path[size] == '\0' || path[size] == '/');
}

// The jail's own, which every profile leaves to it; not what is in memory below.
bool is_jails(const char* path) { return is_own(path, "/proc") || (is_own(path, "/dev") && !is_own(path, "/dev/shm")); }

bool note_path(std::uint32_t program, const char* path, std::uint32_t access) {
  if (path[0] != '/' || is_jails(path)) return true;
  bool ok = true;
  const std::uint32_t text = text_number(path, ok);
  if (!ok || text == 0) return ok;
  return note(LearnedKind::kPath, program, access, text);
}

// Looked up as the job would: where it leads, without links. False: nowhere.
bool resolve(std::uint32_t pid, int directory, const char* path) {
  if (is_jails(path)) return false;
  Writer full{&g_learner.path[0], sizeof g_learner.path};
  if (path[0] != '/') {
    full = proc_path(pid, directory == AT_FDCWD ? "/cwd/" : "/fd/");
    if (directory != AT_FDCWD) {
      full.add(static_cast<std::uint32_t>(directory));
      full.add("/");
    }
  }
  full.add(path);
  const long fd = sys::raw(SYS_openat, AT_FDCWD, &g_learner.path[0], O_PATH | O_CLOEXEC);
  if (fd < 0) return false;
  char own[32];
  Writer link{&own[0], sizeof own};
  link.add("/proc/self/fd/");
  link.add(static_cast<std::uint32_t>(fd));
  const bool read = read_link(&own[0], &g_learner.found[0]);
  sys::raw(SYS_close, fd);
  return read;
}

bool note_resolved(const seccomp_notif& notif, std::uint32_t program, int directory, const char* path,
                   std::uint32_t access) {
  return !resolve(notif.pid, directory, path) || note_path(program, &g_learner.found[0], access);
}

// Making, removing and renaming is of the directory that a name is in.
bool note_parent(const seccomp_notif& notif, std::uint32_t program, int directory, char* path) {
  std::size_t size = length_of(path);
  while (size > 1 && path[size - 1] == '/') --size;
  while (size > 0 && path[size - 1] != '/') --size;
  path[size] = '\0';
  return note_resolved(notif, program, directory, size == 0 ? "." : path,
                       static_cast<std::uint32_t>(wire::LearnedAccess::kWrite));
}

// Which arguments of a call are paths: -1 for none; a directory of -1 is the working directory.
enum class Use : std::uint8_t { kOpen, kParent, kExecute };
struct PathRow {
  long number;
  int directory, path;
  Use use;
  int flags = -1;
};
constexpr PathRow kPathCalls[] = {
    {SYS_openat, 0, 1, Use::kOpen, 2},   {SYS_execve, -1, 0, Use::kExecute},  {SYS_execveat, 0, 1, Use::kExecute},
    {SYS_mkdirat, 0, 1, Use::kParent},   {SYS_mknodat, 0, 1, Use::kParent},   {SYS_unlinkat, 0, 1, Use::kParent},
    {SYS_symlinkat, 1, 2, Use::kParent}, {SYS_linkat, 0, 1, Use::kParent},    {SYS_linkat, 2, 3, Use::kParent},
    {SYS_renameat2, 0, 1, Use::kParent}, {SYS_renameat2, 2, 3, Use::kParent}, {SYS_truncate, -1, 0, Use::kParent},
#if defined(SYS_renameat)
    {SYS_renameat, 0, 1, Use::kParent},  {SYS_renameat, 2, 3, Use::kParent},
#endif
#if defined(SYS_open)
    {SYS_open, -1, 0, Use::kOpen, 1},    {SYS_creat, -1, 0, Use::kParent},    {SYS_mkdir, -1, 0, Use::kParent},
    {SYS_mknod, -1, 0, Use::kParent},    {SYS_unlink, -1, 0, Use::kParent},   {SYS_rmdir, -1, 0, Use::kParent},
    {SYS_symlink, -1, 1, Use::kParent},  {SYS_link, -1, 0, Use::kParent},     {SYS_link, -1, 1, Use::kParent},
    {SYS_rename, -1, 0, Use::kParent},   {SYS_rename, -1, 1, Use::kParent},
#endif
};

bool note_open(const seccomp_notif& notif, std::uint32_t program, int directory, int flags) {
  Learner& all = g_learner;
  if ((flags & O_PATH) != 0) return true;
  const bool makes = (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY;
  using wire::LearnedAccess;
  if ((flags & O_ACCMODE) != O_WRONLY &&
      !note_resolved(notif, program, directory, &all.text[0], static_cast<std::uint32_t>(LearnedAccess::kRead)))
    return false;
  if ((flags & O_TMPFILE) == O_TMPFILE)
    return note_resolved(notif, program, directory, &all.text[0], static_cast<std::uint32_t>(LearnedAccess::kWrite));
  return !makes || note_parent(notif, program, directory, &all.text[0]);
}

bool note_path_call(const seccomp_notif& notif, std::uint32_t program, const PathRow& row) {
  const auto argument = [&](int at) { return notif.data.args[static_cast<std::size_t>(at)]; };
  if (!read_text(notif.pid, argument(row.path))) return true;
  const int directory = row.directory < 0 ? AT_FDCWD : static_cast<int>(argument(row.directory));
  if (directory < 0 && directory != AT_FDCWD) return true;
  switch (row.use) {
    case Use::kOpen: return note_open(notif, program, directory, static_cast<int>(argument(row.flags)));
    case Use::kParent: return note_parent(notif, program, directory, &g_learner.text[0]);
    case Use::kExecute:
      return note_resolved(notif, program, directory, &g_learner.text[0],
                           static_cast<std::uint32_t>(wire::LearnedAccess::kExecute));
  }
  return true;
}

bool note_address(const seccomp_notif& notif, std::uint32_t program, wire::LearnedPort use) {
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
    char bytes[sizeof(sockaddr_in6)];
  } address{};
  const std::uint64_t given = notif.data.args[2];
  std::size_t size = given < sizeof address ? static_cast<std::size_t>(given) : sizeof address;
  if (size < sizeof address.v4) return true;
  proc_path(notif.pid, "/mem");
  const long fd = sys::raw(SYS_openat, AT_FDCWD, &g_learner.path[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ++g_learner.unread;
    return true;
  }
  const long got = sys::raw(SYS_pread64, fd, &address.bytes[0], size, notif.data.args[1]);
  sys::raw(SYS_close, fd);
  if (got < static_cast<long>(sizeof address.v4)) return true;
  if (address.v4.sin_family != AF_INET && address.v4.sin_family != AF_INET6) return true;
  const std::uint64_t port = __builtin_bswap16(address.v4.sin_port);  // at the same place in both
  return note(LearnedKind::kPort, program, static_cast<std::uint32_t>(use), port);
}

// What the kernel has mapped to run a program, at the first sight of it: itself, and what loads it.
bool note_mapped(std::uint32_t pid, std::uint32_t program) {
  Learner& all = g_learner;
  proc_path(pid, "/maps");
  const long fd = sys::raw(SYS_openat, AT_FDCWD, &all.path[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ++all.unread;
    return true;
  }
  std::size_t used = 0;
  bool ok = true;
  while (ok) {
    const long got = sys::raw(SYS_read, fd, &all.maps[used], sizeof all.maps - 1 - used);
    if (got <= 0) break;
    used += static_cast<std::size_t>(got);
    std::size_t start = 0;
    for (std::size_t i = 0; i < used && ok; ++i) {
      if (all.maps[i] != '\n') continue;
      all.maps[i] = '\0';
      std::size_t at = start;  // "start-end r-xp offset device inode   path"
      while (at < i && all.maps[at] != ' ') ++at;
      const bool runs = at + 3 < i && all.maps[at + 3] == 'x';
      while (at < i && all.maps[at] != '/') ++at;
      if (runs && at < i)
        ok = note_path(program, &all.maps[at], static_cast<std::uint32_t>(wire::LearnedAccess::kExecute));
      start = i + 1;
    }
    if (start == 0) break;  // a line longer than a path can be
    for (std::size_t i = start; i < used; ++i) all.maps[i - start] = all.maps[i];
    used -= start;
  }
  sys::raw(SYS_close, fd);
  return ok;
}

// Who it is, as a text; what shares jail-init's memory can't be read, and is jail-init or a job before its exec.
bool program_of(std::uint32_t pid, std::uint32_t& program) {
  Learner& all = g_learner;
  program = 0;
  if (pid == 1) return true;
  proc_path(pid, "/exe");
  if (!read_link(&all.path[0], &all.program[0]) || all.program[0] != '/') return true;
  bool ok = true;
  program = text_number(&all.program[0], ok);
  if (!ok || program == 0 || all.looked[program]) return ok;
  all.looked[program] = true;
  return note_mapped(pid, program);
}

// The command itself, where it is a script: its first execve(2) is from jail-init's memory, which can't be read.
bool note_first(const Plan& plan) {
  const char* name = plan.job.argv[0];
  if (name == nullptr) return true;
  constexpr auto kExecute = static_cast<std::uint32_t>(wire::LearnedAccess::kExecute);
  Learner& all = g_learner;
  const char* path = "/usr/local/bin:/usr/bin:/bin";
  for (char** e = plan.job.env; *e != nullptr; ++e) {
    if (starts_with(*e, "PATH=")) path = *e + 5;
  }
  const bool sought = [&] {
    for (const char* c = name; *c != '\0'; ++c) {
      if (*c == '/') return false;
    }
    return true;
  }();
  if (!sought) path = name[0] == '/' ? "" : plan.job.workdir;
  for (;;) {
    Writer full{&all.text[0], sizeof all.text};
    char part[2] = {};
    for (; *path != '\0' && (*path != ':' || !sought); ++path) {
      part[0] = *path;
      full.add(&part[0]);
    }
    if (full.at > 0) full.add("/");
    full.add(name);
    if (resolve(1, AT_FDCWD, &all.text[0])) return note_path(0, &all.found[0], kExecute);
    if (*path == '\0') return true;
    ++path;
  }
}

std::uint64_t argument_of(const seccomp_data& data) {
  switch (data.nr) {
    case SYS_ioctl: return static_cast<std::uint32_t>(data.args[1]);
    case SYS_prctl: return static_cast<std::uint32_t>(data.args[0]);
    case SYS_socket:
    case SYS_socketpair: return wire::learned_socket(data.args[0], data.args[1], data.args[2]);
    default: return 0;
  }
}

}  // namespace

bool be_learner(const Plan& plan) {
  g_learner.plan = &plan;
  sys::raw(SYS_setfsgid, plan.job_gid);
  sys::raw(SYS_setfsuid, plan.job_uid);
  const long uid = sys::raw(SYS_setfsuid, 0xFFFFFFFFU);  // invalid: changes nothing, tells what is in force
  const long gid = sys::raw(SYS_setfsgid, 0xFFFFFFFFU);
  if (static_cast<std::uint32_t>(uid) != plan.job_uid || static_cast<std::uint32_t>(gid) != plan.job_gid) return false;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (sys::raw(SYS_capset, &header, &none[0]) < 0) return false;
  // A change of ids makes memory, jail-init's too, what fs.suid_dumpable says (prctl(2)).
  return sys::raw(SYS_prctl, PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) >= 0;
}

bool learn_call(const seccomp_notif& notif) {
  // Its numbers name other calls.
  if (notif.data.arch != kArch) {
    ++g_learner.lost;
    return true;
  }
  if (!g_learner.begun && notif.data.nr == SYS_execve) {
    g_learner.begun = true;
    if (!note_first(*g_learner.plan)) return false;
  }
  std::uint32_t program = 0;
  if (!program_of(notif.pid, program)) return false;
  const auto number = static_cast<std::uint32_t>(notif.data.nr);
  if (!note(LearnedKind::kCall, program, number, argument_of(notif.data))) return false;
  if (program == 0) return true;
  for (const PathRow& row : kPathCalls) {
    if (row.number == notif.data.nr && !note_path_call(notif, program, row)) return false;
  }
  if (notif.data.nr == SYS_connect) return note_address(notif, program, wire::LearnedPort::kConnect);
  if (notif.data.nr == SYS_bind) return note_address(notif, program, wire::LearnedPort::kBind);
  return true;
}

// By jail-init, while the recorder goes on counting: what comes later is told with the next end of a job, or never.
void tell_counts(const State& state) {
  if (!state.plan.learn) return;
  Learner& all = g_learner;
  const std::uint32_t entries = all.entry_count.load(std::memory_order_acquire);
  constexpr std::size_t kOfOne = sizeof LearnedPart{}.bytes / sizeof(std::uint32_t);
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kLearned;
  const auto send = [&](const LearnedPart& part) {
    if (all.said++ >= wire::kMostLearned / 2) return;
    __builtin_memcpy(&record.text[0], &part, sizeof part);
    send_event(state, record);
  };
  for (std::uint32_t at = 0; at < entries; at += kOfOne) {
    LearnedPart part{LearnedKind::kCounts, at, 0, 0, 0, {}};
    for (; part.a < kOfOne && at + part.a < entries; ++part.a) {
      const std::uint32_t count = all.counts[at + part.a].load(std::memory_order_relaxed);
      __builtin_memcpy(&part.bytes[part.a * sizeof count], &count, sizeof count);
    }
    send(part);
  }
  send({LearnedKind::kUnread, 0, 0, all.lost, all.unread, {}});
}

}  // namespace sandboxd::init
