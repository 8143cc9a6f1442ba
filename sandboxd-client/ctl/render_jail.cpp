#include <algorithm>
#include <ctime>

#include <fmt/core.h>

#include "base/result.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "protocol/names.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

using protocol::JailInfo;
using protocol::JobReport;

void add(Fields& fields, const char* name, std::string value) {
  if (!value.empty()) fields.emplace_back(name, std::move(value));
}

std::string end_text(const JobReport& report) {
  const std::string verdict(protocol::name_of(report.verdict));
  if (report.exit_code) return fmt::format("{} {}", verdict, *report.exit_code);
  return report.signal ? fmt::format("{} {}", verdict, *report.signal) : verdict;
}

std::string age_text(std::uint64_t started, std::uint64_t now_usec) {
  return time_text(now_usec > started ? now_usec - started : 0);
}

std::string date_text(std::uint64_t usec) {
  const auto seconds = static_cast<std::time_t>(usec / 1'000'000);
  std::tm parts{};
  char text[32] = {};
  if (::gmtime_r(&seconds, &parts) == nullptr) return fmt::format("{}", usec);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

std::string labels_text(const protocol::Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
  return text.empty() ? "-" : text;
}

std::string state_text(const protocol::JobInfo& job) {
  if (job.report) return end_text(*job.report);
  if (!job.failure) return job.state;
  const std::string code = job.failure->code == 0 ? "" : fmt::format(" {}", errno_name(job.failure->code));
  return fmt::format("failed {}{}", job.failure->step, code);
}

std::string state_text(const JailInfo& jail) {
  if (jail.report) return end_text(*jail.report);
  return jail.frozen ? "frozen" : jail.state;
}

// A session has no command of its own.
std::string what_runs(const JailInfo& jail, std::uint64_t now_usec) {
  if (!jail.session) return command_text(jail.argv);
  if (jail.report || !jail.expires) return "(session)";
  return fmt::format("(session, ends in {})", time_text(*jail.expires > now_usec ? *jail.expires - now_usec : 0));
}

}  // namespace

bool has_labels(const JailInfo& jail, const std::vector<std::string>& wanted) {
  for (const std::string& one : wanted) {
    const std::size_t equals = one.find('=');
    const bool found = std::ranges::any_of(jail.labels, [&](const auto& label) {
      return label.first == one.substr(0, equals) &&
             (equals == std::string::npos || label.second == one.substr(equals + 1));
    });
    if (!found) return false;
  }
  return true;
}

Table job_table(const std::vector<protocol::JobInfo>& jobs, std::uint64_t now_usec) {
  Table table{.header = {"JOB", "STATE", "AGE", "TTY", "DETACHED", "ATTACHED", "COMMAND"}};
  for (const protocol::JobInfo& job : jobs) {
    table.rows.push_back({fmt::format("{}/{}", job.jail, job.job), state_text(job), age_text(job.started, now_usec),
                          job.tty ? "yes" : "no", job.detached ? "yes" : "no", fmt::format("{}", job.attached),
                          command_text(job.argv)});
  }
  return table;
}

Table stats_table(const std::vector<protocol::JailStats>& stats) {
  Table table{
      .header = {"JAIL", "NAME", "JOBS", "AGE", "CPU", "THROTTLED", "MEMORY", "MOST", "PIDS", "READ", "WRITTEN"}};
  const auto size = [](const std::optional<std::uint64_t>& bytes) { return bytes ? size_text(*bytes) : "-"; };
  for (const protocol::JailStats& one : stats) {
    const protocol::Usage& usage = one.usage;
    const std::string most = one.memory_max ? "/" + size_text(*one.memory_max) : "";
    table.rows.push_back({one.jail, one.name.empty() ? "-" : one.name,
                          one.frozen ? fmt::format("{} frozen", one.jobs) : fmt::format("{}", one.jobs),
                          time_text(usage.wall), time_text(usage.cpu_user + usage.cpu_system),
                          usage.throttled ? time_text(*usage.throttled) : "-", size(one.memory_current) + most,
                          usage.memory_peak != 0 ? size_text(usage.memory_peak) : "-",
                          one.pids_current ? fmt::format("{}", *one.pids_current) : "-", size(usage.read_bytes),
                          size(usage.written_bytes)});
  }
  return table;
}

Table denial_table(const protocol::Denials& denials) {
  Table table{.header = {"KIND", "WHAT", "TOLD", "COUNT", "JOB", "RULE", "REMEDY"}};
  for (const protocol::Denial& one : denials.denials) {
    table.rows.push_back({std::string(protocol::name_in(protocol::kDenialKindNames, one.kind)), one.what,
                          one.error.empty() ? "-" : one.error, fmt::format("{}", one.count),
                          one.job == 0 ? "-" : fmt::format("{}", one.job), one.rule, one.remedy});
  }
  return table;
}

std::string denials_text(const protocol::Denials& denials) {
  std::string text;
  for (const std::vector<std::string>& row : denial_table(denials).rows) {
    text += fmt::format("{} {}: told {}, {} time{}, job {}\n  rule: {}\n  what to do: {}\n", escaped(row[0]),
                        escaped(row[1]), escaped(row[2]), row[3], row[3] == "1" ? "" : "s", row[4], escaped(row[5]),
                        escaped(row[6]));
  }
  return text;
}

Table jail_table(const std::vector<JailInfo>& jails, std::uint64_t now_usec) {
  Table table{.header = {"JAIL", "NAME", "PROFILE", "STATE", "UID", "AGE", "JOBS", "LABELS", "COMMAND"}};
  for (const JailInfo& jail : jails) {
    table.rows.push_back({jail.jail, jail.name.empty() ? "-" : jail.name, jail.profile, state_text(jail),
                          fmt::format("{}", jail.uid), age_text(jail.started, now_usec), fmt::format("{}", jail.jobs),
                          labels_text(jail.labels), what_runs(jail, now_usec)});
  }
  return table;
}

Fields report_fields(const JobReport& report) {
  Fields fields;
  add(fields, "verdict", end_text(report));
  add(fields, "detail", report.detail);
  add(fields, "wall time", time_text(report.usage.wall));
  add(fields, "cpu time",
      fmt::format("{} user, {} system", time_text(report.usage.cpu_user), time_text(report.usage.cpu_system)));
  add(fields, "memory peak", size_text(report.usage.memory_peak));
  if (report.usage.pids_peak) add(fields, "processes at most", fmt::format("{}", *report.usage.pids_peak));
  if (report.usage.read_bytes && report.usage.written_bytes) {
    add(fields, "disk",
        fmt::format("{} read, {} written", size_text(*report.usage.read_bytes),
                    size_text(*report.usage.written_bytes)));
  }
  if (report.usage.throttled) add(fields, "held back by cpu_max", time_text(*report.usage.throttled));
  for (const std::string& limit : report.unenforced) add(fields, "not enforced", limit);
  if (report.survivors != 0) add(fields, "survivors", fmt::format("{}", report.survivors));
  add(fields, "profile hash", report.profile_hash);
  add(fields, "audit record", fmt::format("{}", report.audit_index));
  return fields;
}

Fields jail_fields(const JailInfo& jail) {
  Fields fields;
  add(fields, "jail", jail.jail);
  add(fields, "name", jail.name);
  add(fields, "profile", jail.profile);
  add(fields, "state", jail.frozen ? jail.state + ", frozen" : jail.state);
  add(fields, "uid", fmt::format("{}", jail.uid));
  add(fields, "command", command_text(jail.argv));
  if (jail.session) add(fields, "jobs", fmt::format("{}", jail.jobs));
  if (jail.expires) add(fields, "session ends", date_text(*jail.expires));
  for (const auto& [name, value] : jail.labels) fields.emplace_back("label: " + name, value);
  if (jail.report) {
    for (auto& field : report_fields(*jail.report)) fields.push_back(std::move(field));
  }
  if (!jail.report) {
    add(fields, "profile hash", jail.profile_hash);
    for (const std::string& limit : jail.unenforced) add(fields, "not enforced", limit);
  }
  for (const protocol::Fact& fact : jail.in_force) fields.emplace_back("in force: " + fact.name, fact.value);
  return fields;
}

}  // namespace sandboxd::ctl
