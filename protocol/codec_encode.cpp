#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/names.h"

namespace sandboxd::protocol {
namespace {

Json encode_bind(const Bind& bind) {
  return {{"fd", bind.fd}, {"target", bytes_to_json(bind.target)}, {"access", name_in(kAccessNames, bind.access)}};
}

Json encode_tmpfs(const Tmpfs& tmpfs) {
  Json value = {{"path", bytes_to_json(tmpfs.path)}};
  if (tmpfs.size) value["size"] = *tmpfs.size;
  return value;
}

Json encode_env(const std::pair<std::string, std::string>& entry) {
  return {{"name", bytes_to_json(entry.first)}, {"value", bytes_to_json(entry.second)}};
}

template <class T, class Encode> Json each(const std::vector<T>& values, Encode encode_one) {
  Json array = Json::array();
  for (const T& value : values) array.push_back(encode_one(value));
  return array;
}

void encode_files(const JobSpec& spec, Json& value) {
  if (spec.token) value["token"] = hex(*spec.token);
  if (spec.workspace) value["workspace"] = encode_bind(*spec.workspace);
  if (!spec.binds.empty()) value["binds"] = each(spec.binds, encode_bind);
  value["root"] = name_in(kRootNames, spec.root);
  if (spec.root_fd) value["root_fd"] = *spec.root_fd;
  if (!spec.tmpfs.empty()) value["tmpfs"] = each(spec.tmpfs, encode_tmpfs);
  if (!spec.dirs.empty()) value["dirs"] = each(spec.dirs, bytes_to_json);
}

// Not in the middle of a letter: what is left of a UTF-8 text stays one.
std::string_view beginning(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && most - end < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

Json encode_argv(const std::vector<std::string>& argv, std::size_t most, bool& was_cut) {
  Json array = Json::array();
  for (const std::string& argument : argv) {
    const std::string_view shown = beginning(argument, most);
    was_cut = was_cut || shown.size() < argument.size() || most == 0;
    if (most == 0) break;
    array.push_back(bytes_to_json(shown));
    most -= std::min(most, argument.size() + 1);
  }
  return array;
}

template <class Spec> void encode_streams(const Spec& spec, Json& value) {
  value["stdio"] = name_in(kStdioNames, spec.stdio);
  if (spec.stdin_data) value["stdin_data"] = bytes_to_json(*spec.stdin_data);
  if (spec.merge_stderr) value["merge_stderr"] = true;
  if (spec.tty) value["tty"] = encode(*spec.tty);
  if (spec.detach) value["detach"] = true;
  if (spec.log) value["log"] = true;
  if (spec.explain_denials) value["explain_denials"] = true;
}

Json encode_usage(const Usage& usage) {
  Json value = {{"wall", usage.wall},
                {"cpu_user", usage.cpu_user},
                {"cpu_system", usage.cpu_system},
                {"memory_peak", usage.memory_peak}};
  for (const UsageRow& row : kUsageRows) {
    if (usage.*row.member) value[std::string(row.name)] = *(usage.*row.member);
  }
  return value;
}

Json encode_labels(const Labels& labels) {
  Json value = Json::object();
  for (const auto& [name, text] : labels) value[name] = text;
  return value;
}

}  // namespace

Json encode(const WindowSize& size) { return {{"rows", size.rows}, {"columns", size.columns}}; }

Json encode(const AskedLimits& limits) {
  Json value = Json::object();
  for (const AskedRow& row : kAskedRows) {
    if (const auto& asked = limits.*row.member) value[std::string(row.name)] = std::min(*asked, kMaxNumber);
  }
  if (limits.disk_max) value["disk_max"] = *limits.disk_max;
  return value;
}

Json encode(const JailStats& stats) {
  Json value = {{"jail", stats.jail},     {"name", stats.name}, {"profile", stats.profile},
                {"frozen", stats.frozen}, {"jobs", stats.jobs}, {"usage", encode_usage(stats.usage)}};
  const auto put = [&value](const char* name, const std::optional<std::uint64_t>& number) {
    if (number) value[name] = *number;
  };
  put("memory_current", stats.memory_current);
  put("pids_current", stats.pids_current);
  put("memory_max", stats.memory_max);
  put("pids_max", stats.pids_max);
  put("cpu_max", stats.cpu_max);
  return value;
}

Json encode(const ExecSpec& spec) {
  Json value = {{"argv", each(spec.argv, bytes_to_json)}, {"survivors", name_in(kSurvivorsNames, spec.survivors)}};
  if (!spec.env.empty()) value["env"] = each(spec.env, encode_env);
  if (spec.workdir) value["workdir"] = bytes_to_json(*spec.workdir);
  if (spec.wall_time) value["wall_time"] = *spec.wall_time;
  if (spec.nofile) value["nofile"] = *spec.nofile;
  if (spec.file_size_max) value["file_size_max"] = *spec.file_size_max;
  if (spec.output_max) value["output_max"] = *spec.output_max;
  encode_streams(spec, value);
  return value;
}

Json encode(const JobFailure& failure) {
  return {{"step", failure.step}, {"errno", failure.code}, {"detail", failure.detail}};
}

Json encode(const JobInfo& info) {
  bool was_cut = info.argv_cut;
  Json argv = encode_argv(info.argv, kArgvListed, was_cut);
  Json value = {
      {"jail", info.jail},       {"job", info.job},           {"state", info.state},
      {"argv", std::move(argv)}, {"argv_cut", was_cut},       {"started", info.started},
      {"tty", info.tty},         {"detached", info.detached}, {"attached", info.attached},
  };
  if (info.report) value["report"] = encode(*info.report);
  if (info.failure) value["failure"] = encode(*info.failure);
  return value;
}

Json encode(const JobSpec& spec) {
  Json value = {{"user_root", spec.user_root}};
  if (!spec.argv.empty()) value["argv"] = each(spec.argv, bytes_to_json);
  if (!spec.env.empty()) value["env"] = each(spec.env, encode_env);
  if (spec.profile) value["profile"] = *spec.profile;
  if (spec.name) value["name"] = *spec.name;
  encode_files(spec, value);
  if (spec.hostname) value["hostname"] = *spec.hostname;
  if (spec.workdir) value["workdir"] = bytes_to_json(*spec.workdir);
  value["network"] = name_in(kNetworkNames, spec.network);
  if (spec.wall_time) value["wall_time"] = *spec.wall_time;
  if (spec.preset) value["preset"] = *spec.preset;
  if (spec.limits != AskedLimits{}) value["limits"] = encode(spec.limits);
  encode_streams(spec, value);
  if (spec.stdio == Stdio::kInherit) value["stdio_fds"] = spec.stdio_fds;
  if (!spec.labels.empty()) value["labels"] = encode_labels(spec.labels);
  if (spec.session_ttl) value["session_ttl"] = *spec.session_ttl;
  return value;
}

Json encode(const JobReport& report) {
  Json value = {
      {"jail", report.jail},
      {"job", report.job},
      {"profile", report.profile},
      {"profile_hash", report.profile_hash},
      {"verdict", name_of(report.verdict)},
      {"detail", report.detail},
      {"usage", encode_usage(report.usage)},
      {"enforced_by", Json::array()},
      {"unenforced", report.unenforced},
      {"audit_index", report.audit_index},
      {"survivors", report.survivors},
  };
  for (const Enforced& one : report.enforced_by) value["enforced_by"].push_back({{"limit", one.limit}, {"by", one.by}});
  if (report.exit_code) value["exit_code"] = *report.exit_code;
  if (report.signal) value["signal"] = *report.signal;
  return value;
}

Json encode(const JailInfo& info, std::size_t argv_most) {
  bool was_cut = info.argv_cut;
  Json argv = encode_argv(info.argv, argv_most, was_cut);
  Json value = {
      {"jail", info.jail},
      {"name", info.name},
      {"profile", info.profile},
      {"state", info.state},
      {"uid", info.uid},
      {"argv", std::move(argv)},
      {"argv_cut", was_cut},
      {"started", info.started},
      {"in_force", Json::array()},
      {"session", info.session},
      {"frozen", info.frozen},
      {"labels", encode_labels(info.labels)},
      {"jobs", info.jobs},
      {"unenforced", info.unenforced},
      {"profile_hash", info.profile_hash},
  };
  if (info.expires) value["expires"] = *info.expires;
  if (info.report) value["report"] = encode(*info.report);
  for (const Fact& fact : info.in_force) value["in_force"].push_back({{"name", fact.name}, {"value", fact.value}});
  return value;
}

Json encode(const Denial& denial) {
  return {{"kind", name_in(kDenialKindNames, denial.kind)},
          {"what", denial.what},
          {"rule", denial.rule},
          {"remedy", denial.remedy},
          {"error", denial.error},
          {"job", denial.job},
          {"count", denial.count},
          {"first", denial.first}};
}

Json encode(const Denials& denials) {
  Json list = Json::array();
  for (const Denial& one : denials.denials) list.push_back(encode(one));
  return {{"denials", std::move(list)}, {"forgotten", denials.forgotten}, {"untold", denials.untold}};
}

Json encode(const LearnedProfile& learned) {
  return {{"profile", learned.profile}, {"filter", learned.filter}, {"unread", learned.unread}, {"lost", learned.lost}};
}

}  // namespace sandboxd::protocol
