#include "base/proc_status.h"

#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <span>

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"

namespace sandboxd {
namespace {

using Numbers = std::optional<std::vector<std::uint64_t>>;

Numbers decimals(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    const auto number = parse_uint(text.substr(0, end), std::numeric_limits<std::uint32_t>::max());
    if (!number) return std::nullopt;
    numbers.push_back(*number);
    text.remove_prefix(end);
  }
  return numbers;
}

// "\t000001ffffffffff": 16 digits, as proc(5) shows the capability sets.
Numbers mask(std::string_view text) {
  if (text.size() != 17 || text.front() != '\t') return std::nullopt;
  const auto bytes = from_hex(text.substr(1));
  if (!bytes) return std::nullopt;
  std::uint64_t value = 0;
  for (const char byte : *bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return std::vector{value};
}

template <class Member> bool store_one(Member& member, const std::vector<std::uint64_t>& numbers) {
  if (numbers.size() != 1) return false;
  member = static_cast<Member>(numbers.front());
  return true;
}

bool store_four(std::array<std::uint32_t, 4>& ids, const std::vector<std::uint64_t>& numbers) {
  if (numbers.size() != ids.size()) return false;
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint32_t>(numbers[i]);
  return true;
}

using Values = const std::vector<std::uint64_t>&;

struct Row {
  std::string_view key;
  Numbers (*parse)(std::string_view);
  bool (*store)(ProcStatus&, Values);
};

constexpr std::array kRows = {
    Row{"Uid", decimals, [](ProcStatus& s, Values n) { return store_four(s.uid, n); }},
    Row{"Gid", decimals, [](ProcStatus& s, Values n) { return store_four(s.gid, n); }},
    Row{"Groups", decimals, [](ProcStatus& s, Values n) { return s.groups.assign(n.begin(), n.end()), true; }},
    Row{"NSpid", decimals, [](ProcStatus& s, Values n) { return s.nspid.assign(n.begin(), n.end()), !n.empty(); }},
    Row{"Threads", decimals, [](ProcStatus& s, Values n) { return store_one(s.threads, n); }},
    Row{"CapInh", mask, [](ProcStatus& s, Values n) { return store_one(s.cap_inheritable, n); }},
    Row{"CapPrm", mask, [](ProcStatus& s, Values n) { return store_one(s.cap_permitted, n); }},
    Row{"CapEff", mask, [](ProcStatus& s, Values n) { return store_one(s.cap_effective, n); }},
    Row{"CapBnd", mask, [](ProcStatus& s, Values n) { return store_one(s.cap_bounding, n); }},
    Row{"CapAmb", mask, [](ProcStatus& s, Values n) { return store_one(s.cap_ambient, n); }},
    Row{"NoNewPrivs", decimals, [](ProcStatus& s, Values n) { return store_one(s.no_new_privs, n) && n.front() <= 1; }},
    Row{"Seccomp", decimals, [](ProcStatus& s, Values n) { return store_one(s.seccomp, n) && n.front() <= 2; }},
    Row{"Seccomp_filters", decimals, [](ProcStatus& s, Values n) { return store_one(s.seccomp_filters, n); }},
};

Status read_line(std::string_view line, ProcStatus& status, std::array<bool, kRows.size()>& seen) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].key != line.substr(0, colon)) continue;
    const Numbers numbers = kRows[i].parse(line.substr(colon + 1));
    if (seen[i] || !numbers || !kRows[i].store(status, *numbers)) {
      return sys_error_code(EPROTO, "read process status: line {}", quoted(line));
    }
    seen[i] = true;
  }
  return {};
}

}  // namespace

Result<ProcStatus> parse_proc_status(std::string_view text) {
  ProcStatus status;
  std::array<bool, kRows.size()> seen{};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    TRY(read_line(text.substr(0, end), status, seen));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (!seen[i]) return sys_error_code(EPROTO, "read process status: no line {}", quoted(kRows[i].key));
  }
  return status;
}

Result<ProcStatus> read_proc_status(int proc_pid_dir_fd) {
  TRY_ASSIGN(const std::string text, read_file(proc_pid_dir_fd, "status", 2U << 20).context("read process status"));
  return parse_proc_status(text);
}

Result<ProcStatus> read_own_status() {
  TRY_ASSIGN(const std::string text,
             read_file(AT_FDCWD, "/proc/thread-self/status", 2U << 20).context("read own status"));
  return parse_proc_status(text);
}

}  // namespace sandboxd
