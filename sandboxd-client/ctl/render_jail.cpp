#include <fmt/core.h>

#include "protocol/codec.h"
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

}  // namespace

Table jail_table(const std::vector<JailInfo>& jails, std::uint64_t now_usec) {
  Table table{.header = {"JAIL", "NAME", "PROFILE", "STATE", "UID", "AGE", "COMMAND"}};
  for (const JailInfo& jail : jails) {
    const std::uint64_t age = now_usec > jail.started ? now_usec - jail.started : 0;
    table.rows.push_back({jail.jail, jail.name.empty() ? "-" : jail.name, jail.profile,
                          jail.report ? end_text(*jail.report) : jail.state, fmt::format("{}", jail.uid),
                          time_text(age), command_text(jail.argv)});
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
  for (const std::string& limit : report.unenforced) add(fields, "not enforced", limit);
  add(fields, "profile hash", report.profile_hash);
  add(fields, "audit record", fmt::format("{}", report.audit_index));
  return fields;
}

Fields jail_fields(const JailInfo& jail) {
  Fields fields;
  add(fields, "jail", jail.jail);
  add(fields, "name", jail.name);
  add(fields, "profile", jail.profile);
  add(fields, "state", jail.state);
  add(fields, "uid", fmt::format("{}", jail.uid));
  add(fields, "command", command_text(jail.argv));
  if (jail.report) {
    for (auto& field : report_fields(*jail.report)) fields.push_back(std::move(field));
  }
  for (const protocol::Fact& fact : jail.in_force) fields.emplace_back("in force: " + fact.name, fact.value);
  return fields;
}

}  // namespace sandboxd::ctl
