#include "protocol/codec.h"

#include <algorithm>
#include <set>

#include <fmt/core.h>

#include "base/broker_message.h"
#include "base/text.h"
#include "protocol/limits.h"
#include "protocol/reader.h"

namespace sandboxd::protocol {
namespace {

constexpr std::size_t kMaxLine = 65536;  // of a text in a report

Read fd_index(std::function<void(std::uint64_t)> set) { return whole(0, kBrokerMaxFds - 1, std::move(set)); }

Read name(std::optional<std::string>& out) {
  return matching(is_name, "1 to 64 of A-Z a-z 0-9 _ . -, not '.' or '-' first", into(out));
}

Read any_number(std::uint64_t& out) { return whole(0, kMaxNumber, into(out)); }

// 4294967295 is -1, "leave it as it is" to chown(2) and setresuid(2): never an id.
Read uid(std::uint32_t& out) { return whole(0, UINT32_MAX - 1, into(out)); }

Read token(std::optional<std::array<std::uint8_t, 16>>& out) {
  return [&out](const Json& value, const std::string& path) -> Checked {
    const auto decoded = value.is_string() ? from_hex(value.get_ref<const std::string&>()) : std::nullopt;
    if (!decoded || decoded->size() != 16) return invalid(path, value, "32 lower-case hex digits");
    std::copy(decoded->begin(), decoded->end(), out.emplace().begin());
    return std::nullopt;
  };
}

Read env_name(std::string& out) {
  return [&out](const Json& value, const std::string& path) -> Checked {
    if (Checked wrong = bytes_without_nul(kMaxText, into(out))(value, path)) return wrong;
    if (out.empty() || out.find('=') != std::string::npos) return invalid(path, value, "not empty, and no '='");
    return std::nullopt;
  };
}

Read environment(std::vector<std::pair<std::string, std::string>>& out) {
  return [&out](const Json& value, const std::string& path) -> Checked {
    std::set<std::string> seen;
    const Read element = [&](const Json& entry, const std::string& where) -> Checked {
      auto& [key, text] = out.emplace_back();
      ObjectReader reader(entry, where);
      reader.required("name", env_name(key));
      reader.required("value", bytes_without_nul(kMaxText, into(text)));
      reader.rule(key.size() + 1 + text.size() <= kMaxText, "value",
                  fmt::format("at most {} bytes with its name", kMaxText));
      reader.rule(seen.insert(key).second, "name", "each name once");
      return reader.finish();
    };
    return list(0, kMaxEnv, element)(value, path);
  };
}

Read stdio_indexes(std::array<std::uint32_t, 3>& out) {
  return [&out](const Json& value, const std::string& path) -> Checked {
    std::vector<std::uint64_t> indexes;
    if (Checked wrong = list(3, 3, fd_index(append(indexes)))(value, path)) return wrong;
    std::copy(indexes.begin(), indexes.end(), out.begin());
    return std::nullopt;
  };
}

bool is_label_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabelName && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || c == '/';
  });
}

bool is_label_value(std::string_view text) {
  return text.size() <= kMaxLabelValue &&
         std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

Read labels(Labels& out) {
  return [&out](const Json& value, const std::string& path) -> Checked {
    if (!value.is_object() || value.size() > kMaxLabels)
      return invalid(path, value, fmt::format("an object of at most {} labels", kMaxLabels));
    for (const auto& [name, text] : value.items()) {
      const std::string where = path + "/" + name;
      if (!is_label_name(name)) return invalid(where, name, "a name of 1 to 64 of A-Z a-z 0-9 _ . - /");
      if (!text.is_string() || !is_label_value(text.get_ref<const std::string&>()))
        return invalid(where, text, "at most 256 bytes without control characters");
      out.emplace_back(name, text.get<std::string>());
    }
    return std::nullopt;
  };
}

Read texts(std::vector<std::string>& out) {
  return list(0, kMaxArgv, [&out](const Json& entry, const std::string& where) {
    return string(kMaxLine, out.emplace_back())(entry, where);
  });
}

Read number_of_16_bits(std::uint16_t& out) { return whole(1, UINT16_MAX, into(out)); }

void read_what_runs(ObjectReader& reader, JobSpec& out) {
  reader.optional("argv", list(1, kMaxArgv, bytes_without_nul(kMaxText, append(out.argv))));
  reader.rule(out.argv.empty() || !out.argv.front().empty(), "argv", "a first element that is not empty");
  reader.optional("env", environment(out.env));
  reader.optional("workdir", path_bytes(into(out.workdir)));
  reader.optional("user_root", boolean(out.user_root));
  reader.optional("wall_time", whole(1, kMaxDuration, into(out.wall_time)));
  reader.optional("preset", name(out.preset));
  reader.optional("limits",
                  [&out](const Json& value, const std::string& where) { return decode(value, where, out.limits); });
}

void read_what_it_sees(ObjectReader& reader, JobSpec& out) {
  reader.optional("profile", name(out.profile));
  reader.optional("name", name(out.name));
  reader.optional("token", token(out.token));
  reader.optional("workspace", object(out.workspace));
  reader.optional("binds", object_list(kBrokerMaxFds, out.binds));
  reader.optional("root", one_of(kRootNames, out.root));
  reader.optional("root_fd", fd_index(into(out.root_fd)));
  reader.optional("tmpfs", object_list(kMaxTmpfs, out.tmpfs));
  reader.optional("dirs", list(0, kMaxDirs, path_bytes(append(out.dirs))));
  reader.optional("hostname", matching(is_hostname, "a host name of at most 64 bytes", into(out.hostname)));
  reader.optional("network", one_of(kNetworkNames, out.network));
}

// What a run and an exec have in common.
template <class Spec> void read_streams(ObjectReader& reader, Spec& out) {
  reader.optional("stdin_data", bytes(kMaxStdin, into(out.stdin_data)));
  reader.optional("merge_stderr", boolean(out.merge_stderr));
  reader.optional("tty", object(out.tty));
  reader.optional("detach", boolean(out.detach));
  reader.optional("log", boolean(out.log));
  reader.optional("explain_denials", boolean(out.explain_denials));
  reader.rule(!out.explain_denials || out.stdio != Stdio::kInherit, "explain_denials", "false with stdio 'inherit'");
  const bool piped = out.stdio == Stdio::kRelay || out.stdio == Stdio::kPass;
  reader.rule(!out.stdin_data || out.stdio == Stdio::kRelay, "stdin_data", "none without stdio 'relay'");
  reader.rule(!out.stdin_data || !out.tty, "stdin_data", "none with a terminal");
  reader.rule(piped || !out.merge_stderr, "merge_stderr", "false without stdio 'relay' or 'pass'");
  reader.rule(piped || !out.tty, "tty", "none without stdio 'relay' or 'pass'");
  reader.rule(piped || !out.log, "log", "false without stdio 'relay' or 'pass'");
  reader.rule(!out.detach || out.stdio == Stdio::kRelay || out.stdio == Stdio::kNull, "detach",
              "false without stdio 'relay' or 'null'");
}

void read_stdio(ObjectReader& reader, JobSpec& out) {
  bool indexes = false;
  reader.optional("stdio", one_of(kStdioNames, out.stdio));
  reader.optional("stdio_fds", [&](const Json& value, const std::string& path) {
    indexes = true;
    return stdio_indexes(out.stdio_fds)(value, path);
  });
  reader.rule(indexes == (out.stdio == Stdio::kInherit), "stdio_fds", "three indexes with stdio 'inherit', else none");
  read_streams(reader, out);
}

void read_session(ObjectReader& reader, JobSpec& out) {
  reader.optional("labels", labels(out.labels));
  reader.optional("session_ttl", whole(1, kMaxDuration, into(out.session_ttl)));
}

template <std::size_t N> Read state_in(const std::array<std::string_view, N>& names, std::string& out) {
  return [&names, &out](const Json& value, const std::string& path) -> Checked {
    std::size_t index = 0;
    if (Checked wrong = check_one_of(value, path, names, index)) return wrong;
    out = names[index];
    return std::nullopt;
  };
}

}  // namespace

static Checked decode(const Json& value, const std::string& path, Bind& out) {
  ObjectReader reader(value, path);
  reader.required("fd", fd_index(into(out.fd)));
  reader.required("target", path_bytes(into(out.target)));
  reader.optional("access", one_of(kAccessNames, out.access));
  return reader.finish();
}

static Checked decode(const Json& value, const std::string& path, Tmpfs& out) {
  ObjectReader reader(value, path);
  reader.required("path", path_bytes(into(out.path)));
  reader.optional("size", whole(1, kMaxNumber, into(out.size)));
  return reader.finish();
}

static Checked decode(const Json& value, const std::string& path, Usage& out) {
  ObjectReader reader(value, path);
  reader.required("wall", any_number(out.wall));
  reader.required("cpu_user", any_number(out.cpu_user));
  reader.required("cpu_system", any_number(out.cpu_system));
  reader.required("memory_peak", any_number(out.memory_peak));
  for (const UsageRow& row : kUsageRows) reader.optional(row.name, whole(0, kMaxNumber, into(out.*row.member)));
  return reader.finish();
}

static Checked decode(const Json& value, const std::string& path, Enforced& out) {
  ObjectReader reader(value, path);
  reader.required("limit", string(kMaxLine, out.limit));
  reader.required("by", string(kMaxLine, out.by));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, Fact& out) {
  ObjectReader reader(value, path);
  reader.required("name", string(kMaxLine, out.name));
  reader.required("value", string(kMaxLine, out.value));
  return reader.finish();
}

// varlink's int ends where a memory_swap_max that is none does.
Checked decode(const Json& value, std::string_view path, AskedLimits& out) {
  ObjectReader reader(value, path);
  for (std::size_t i = 0; i < kAskedRows.size(); ++i) {
    const bool zero_is_none = kLimitRows[i].zero_is_none;
    auto& member = out.*kAskedRows[i].member;
    reader.optional(kAskedRows[i].name, whole(0, kMaxNumber, [zero_is_none, &member](std::uint64_t asked) {
                      member = !zero_is_none && asked == kMaxNumber ? kNoLimit : asked;
                    }));
  }
  reader.optional("disk_max", whole(0, kMaxNumber, into(out.disk_max)));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, JobSpec& out) {
  out = {};
  ObjectReader reader(value, path);
  read_what_runs(reader, out);
  read_what_it_sees(reader, out);
  read_stdio(reader, out);
  read_session(reader, out);
  reader.rule(out.root_fd.has_value() == (out.root == Root::kDirectory), "root_fd",
              "an index with root 'directory', else none");
  const bool names_fd = out.workspace || !out.binds.empty() || out.root_fd || out.stdio == Stdio::kInherit;
  reader.rule(out.token || !names_fd, "token", "a token, since descriptors are named");
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, WindowSize& out) {
  ObjectReader reader(value, path);
  reader.required("rows", number_of_16_bits(out.rows));
  reader.required("columns", number_of_16_bits(out.columns));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, ExecSpec& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("argv", list(1, kMaxArgv, bytes_without_nul(kMaxText, append(out.argv))));
  reader.rule(!out.argv.empty() && !out.argv.front().empty(), "argv", "a first element that is not empty");
  reader.optional("env", environment(out.env));
  reader.optional("workdir", path_bytes(into(out.workdir)));
  reader.optional("wall_time", whole(1, kMaxDuration, into(out.wall_time)));
  reader.optional("nofile", whole(1, kMaxNumber, into(out.nofile)));
  reader.optional("file_size_max", whole(1, kMaxNumber, into(out.file_size_max)));
  reader.optional("output_max", whole(1, kMaxNumber, into(out.output_max)));
  reader.optional("stdio", one_of(kStdioNames, out.stdio));
  reader.rule(out.stdio != Stdio::kInherit, "stdio", "relay, pass or null");
  read_streams(reader, out);
  reader.optional("survivors", one_of(kSurvivorsNames, out.survivors));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, JobFailure& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("step", string(kMaxLine, out.step));
  reader.required("errno", whole(0, INT32_MAX, into(out.code)));
  reader.required("detail", string(kMaxLine, out.detail));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, JobInfo& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("jail", string(kMaxLine, out.jail));
  reader.required("job", whole(0, UINT32_MAX, into(out.job)));
  reader.required("state", state_in(kJobStateNames, out.state));
  reader.required("argv", list(0, kMaxArgv, bytes(kMaxText, append(out.argv))));
  reader.required("argv_cut", boolean(out.argv_cut));
  reader.required("started", any_number(out.started));
  reader.required("tty", boolean(out.tty));
  reader.required("detached", boolean(out.detached));
  reader.required("attached", whole(0, UINT32_MAX, into(out.attached)));
  reader.optional("report", object(out.report));
  reader.optional("failure", object(out.failure));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, JobReport& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("jail", string(kMaxLine, out.jail));
  reader.required("job", whole(0, UINT32_MAX, into(out.job)));
  reader.required("profile", string(kMaxLine, out.profile));
  reader.required("profile_hash", string(kMaxLine, out.profile_hash));
  reader.required("verdict", one_of(kVerdictNames, out.verdict));
  reader.optional("exit_code", whole(0, INT32_MAX, into(out.exit_code)));
  reader.optional("signal", whole(0, INT32_MAX, into(out.signal)));
  reader.required("detail", string(kMaxLine, out.detail));
  reader.required("usage", object(out.usage));
  reader.required("enforced_by", object_list(kMaxArgv, out.enforced_by));
  reader.required("unenforced", texts(out.unenforced));
  reader.required("audit_index", any_number(out.audit_index));
  reader.required("survivors", whole(0, UINT32_MAX, into(out.survivors)));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, JailInfo& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("jail", string(kMaxLine, out.jail));
  reader.required("name", string(kMaxLine, out.name));
  reader.required("profile", string(kMaxLine, out.profile));
  reader.required("state", state_in(kStateNames, out.state));
  reader.required("uid", uid(out.uid));
  reader.required("argv", list(0, kMaxArgv, bytes(kMaxText, append(out.argv))));
  reader.required("argv_cut", boolean(out.argv_cut));
  reader.required("started", any_number(out.started));
  reader.optional("report", object(out.report));
  reader.required("session", boolean(out.session));
  reader.required("frozen", boolean(out.frozen));
  reader.required("labels", labels(out.labels));
  reader.optional("expires", whole(0, kMaxNumber, into(out.expires)));
  reader.required("jobs", whole(0, UINT32_MAX, into(out.jobs)));
  reader.required("in_force", object_list(kMaxArgv, out.in_force));
  reader.required("unenforced", texts(out.unenforced));
  reader.required("profile_hash", string(kMaxLine, out.profile_hash));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, JailStats& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("jail", string(kMaxLine, out.jail));
  reader.required("name", string(kMaxLine, out.name));
  reader.required("profile", string(kMaxLine, out.profile));
  reader.required("frozen", boolean(out.frozen));
  reader.required("jobs", whole(0, UINT32_MAX, into(out.jobs)));
  reader.required("usage", object(out.usage));
  reader.optional("memory_current", whole(0, kMaxNumber, into(out.memory_current)));
  reader.optional("pids_current", whole(0, kMaxNumber, into(out.pids_current)));
  reader.optional("memory_max", whole(0, kMaxNumber, into(out.memory_max)));
  reader.optional("pids_max", whole(0, kMaxNumber, into(out.pids_max)));
  reader.optional("cpu_max", whole(0, kMaxNumber, into(out.cpu_max)));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, Denial& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("kind", one_of(kDenialKindNames, out.kind));
  reader.required("what", string(kMaxLine, out.what));
  reader.required("rule", string(kMaxLine, out.rule));
  reader.required("remedy", string(kMaxLine, out.remedy));
  reader.required("error", string(kMaxLine, out.error));
  reader.required("job", whole(0, UINT32_MAX, into(out.job)));
  reader.required("count", any_number(out.count));
  reader.required("first", any_number(out.first));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, Denials& out) {
  out = {};
  ObjectReader reader(value, path);
  reader.required("denials", object_list(kMaxArgv, out.denials));
  reader.required("forgotten", any_number(out.forgotten));
  reader.required("untold", any_number(out.untold));
  return reader.finish();
}

Checked decode(const Json& value, std::string_view path, LearnedProfile& out) {
  constexpr std::size_t kMostFile = 1 << 20;
  out = {};
  ObjectReader reader(value, path);
  reader.required("profile", string(kMostFile, out.profile));
  reader.required("filter", string(kMostFile, out.filter));
  reader.required("unread", any_number(out.unread));
  reader.required("lost", any_number(out.lost));
  return reader.finish();
}

}  // namespace sandboxd::protocol
