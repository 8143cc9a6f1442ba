#include "daemon/jails/meter.h"

#include <utility>

namespace sandboxd::jails {
namespace {

using wire::StartedFd;

template <class T> std::optional<T> parsed(int fd, Result<T> (*parse)(std::string_view)) {
  if (fd < 0) return std::nullopt;
  const Result<std::string> text = cgroups::reread(fd);
  if (!text.ok()) return std::nullopt;
  Result<T> value = parse(*text);
  if (!value.ok()) return std::nullopt;
  return std::move(value).value();
}

}  // namespace

void Meter::take(std::vector<UniqueFd>& fds) {
  for (auto at = static_cast<std::size_t>(StartedFd::kCpuStat); at < fds_.size(); ++at) fds_[at] = std::move(fds[at]);
}

void Meter::close() {
  for (UniqueFd& fd : fds_) fd.reset();
}

std::optional<cgroups::CpuStat> Meter::cpu() const { return parsed(fd(StartedFd::kCpuStat), cgroups::parse_cpu_stat); }
std::optional<cgroups::MemoryEvents> Meter::memory_events() const {
  return parsed(fd(StartedFd::kMemoryEvents), cgroups::parse_memory_events);
}
std::optional<std::uint64_t> Meter::refused_forks() const {
  return parsed(fd(StartedFd::kPidsEvents), cgroups::parse_pids_events);
}
std::optional<std::uint64_t> Meter::amount(StartedFd which) const { return parsed(fd(which), cgroups::parse_amount); }
std::optional<cgroups::Pressure> Meter::pressure(StartedFd which) const {
  return parsed(fd(which), cgroups::parse_pressure);
}

void Meter::read(protocol::Usage& usage) const {
  if (const auto stat = cpu()) {
    usage.cpu_user = stat->user;
    usage.cpu_system = stat->system;
    if (stat->periods != 0) {
      usage.throttled = stat->throttled;
      usage.throttled_periods = stat->throttled_periods;
    }
  }
  if (const auto peak = amount(StartedFd::kMemoryPeak)) usage.memory_peak = *peak;
  usage.pids_peak = amount(StartedFd::kPidsPeak);
  if (const auto io = parsed(fd(StartedFd::kIoStat), cgroups::parse_io_stat)) {
    usage.read_bytes = io->read_bytes;
    usage.written_bytes = io->written_bytes;
    usage.read_operations = io->reads;
    usage.write_operations = io->writes;
  }
  if (const auto cpu_pressure = pressure(StartedFd::kCpuPressure)) usage.cpu_pressure = cpu_pressure->some.total;
  if (const auto memory = pressure(StartedFd::kMemoryPressure)) {
    usage.memory_pressure = memory->some.total;
    usage.memory_pressure_full = memory->full.total;
  }
  if (const auto io = pressure(StartedFd::kIoPressure)) {
    usage.io_pressure = io->some.total;
    usage.io_pressure_full = io->full.total;
  }
}

}  // namespace sandboxd::jails
