#include "cgroups/usage.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include <unistd.h>

#include "base/text.h"

namespace sandboxd::cgroups {
namespace {

// Up to the separator, which is taken off `text` too.
std::string_view take(std::string_view& text, char separator) {
  const std::string_view part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

struct Key {
  std::string_view name;
  std::uint64_t* value;
};

Result<std::uint64_t> number_in(std::string_view name, std::string_view text) {
  const auto value = parse_uint(text, UINT64_MAX);
  if (!value) return sys_error_code(EPROTO, "{} is {}, not a number", name, quoted(text));
  return *value;
}

Status set(std::span<const Key> keys, std::string_view name, std::string_view text, bool sum) {
  const auto row = std::ranges::find(keys, name, &Key::name);
  if (row == keys.end()) return {};
  TRY_ASSIGN(const std::uint64_t value, number_in(name, text));
  *row->value = sum ? *row->value + value : value;
  return {};
}

// "key value" lines.
Status read_flat(std::string_view text, std::span<const Key> keys) {
  while (!text.empty()) {
    std::string_view line = take(text, '\n');
    const std::string_view name = take(line, ' ');
    TRY(set(keys, name, line, false));
  }
  return {};
}

// "12.34" as 1234.
Result<std::uint32_t> hundredths(std::string_view text) {
  const std::string_view whole = take(text, '.');
  const auto percent = parse_uint(whole, 1000);
  const bool fits = text.size() == 2 && text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9';
  if (!percent || !fits) return sys_error_code(EPROTO, "pressure {}", quoted(whole));
  return static_cast<std::uint32_t>(*percent * 100) +
         static_cast<std::uint32_t>((text[0] - '0') * 10 + (text[1] - '0'));
}

Status read_pressure_line(std::string_view line, PressureLine& out) {
  const std::array averages = {std::pair{std::string_view("avg10"), &out.avg10},
                               std::pair{std::string_view("avg60"), &out.avg60},
                               std::pair{std::string_view("avg300"), &out.avg300}};
  while (!line.empty()) {
    std::string_view word = take(line, ' ');
    const std::string_view name = take(word, '=');
    for (const auto& [average, value] : averages) {
      if (name != average) continue;
      TRY_ASSIGN(*value, hundredths(word));
    }
    if (name == "total") {
      TRY_ASSIGN(out.total, number_in(name, word));
    }
  }
  return {};
}

}  // namespace

Result<CpuStat> parse_cpu_stat(std::string_view text) {
  CpuStat out;
  const std::array keys = {Key{"usage_usec", &out.usage},
                           Key{"user_usec", &out.user},
                           Key{"system_usec", &out.system},
                           Key{"nr_periods", &out.periods},
                           Key{"nr_throttled", &out.throttled_periods},
                           Key{"throttled_usec", &out.throttled}};
  TRY(read_flat(text, keys).context("cpu.stat"));
  return out;
}

Result<MemoryEvents> parse_memory_events(std::string_view text) {
  MemoryEvents out;
  const std::array keys = {Key{"high", &out.high}, Key{"max", &out.max}, Key{"oom", &out.oom},
                           Key{"oom_kill", &out.oom_kill}, Key{"oom_group_kill", &out.oom_group_kill}};
  TRY(read_flat(text, keys).context("memory.events"));
  return out;
}

Result<std::uint64_t> parse_pids_events(std::string_view text) {
  std::uint64_t refused = 0;
  const std::array keys = {Key{"max", &refused}};
  TRY(read_flat(text, keys).context("pids.events"));
  return refused;
}

Result<IoStat> parse_io_stat(std::string_view text) {
  IoStat out;
  const std::array keys = {Key{"rbytes", &out.read_bytes}, Key{"wbytes", &out.written_bytes}, Key{"rios", &out.reads},
                           Key{"wios", &out.writes}};
  while (!text.empty()) {
    std::string_view line = take(text, '\n');
    take(line, ' ');  // "MAJ:MIN"
    while (!line.empty()) {
      std::string_view word = take(line, ' ');
      const std::string_view name = take(word, '=');
      TRY(set(keys, name, word, true).context("io.stat"));
    }
  }
  return out;
}

Result<Pressure> parse_pressure(std::string_view text) {
  Pressure out;
  while (!text.empty()) {
    std::string_view line = take(text, '\n');
    const std::string_view kind = take(line, ' ');
    if (kind == "some") TRY(read_pressure_line(line, out.some));
    if (kind == "full") TRY(read_pressure_line(line, out.full));
  }
  return out;
}

Result<std::uint64_t> parse_amount(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text == "max") return UINT64_MAX;
  return number_in("amount", text);
}

Result<std::string> reread(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error("read a cgroup's file");
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace sandboxd::cgroups
