#include "daemon/plan/explain.h"

#include <initializer_list>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/limit_text.h"
#include "base/text.h"
#include "daemon/plan/redact.h"
#include "daemon/wire/nesting.h"

namespace sandboxd::plan {
namespace {

using Json = nlohmann::json;

Json text_json(const std::string& text) {
  if (is_utf8(text) && text.find('\0') == std::string::npos) return text;
  return Json{{"b64", base64_encode(text)}};
}

Json texts_json(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(text_json(text));
  return list;
}

std::string name_of(auto value, std::initializer_list<const char*> names) {
  return *(names.begin() + static_cast<std::size_t>(value));
}

Json names_of(std::uint32_t mask, std::initializer_list<const char*> names) {
  Json list = Json::array();
  std::uint32_t at = 0;
  for (const char* name : names) {
    if ((mask & (1U << at++)) != 0) list.push_back(name);
  }
  return list;
}

// In the units of base/limits.h; none is "infinity".
Json limits_json(const Limits& limits) {
  Json value = Json::object();
  for (const LimitRow& row : kLimitRows) {
    const std::uint64_t limit = limits.*row.member;
    value[std::string(row.name)] = none_of(row) == limit ? Json("infinity") : Json(limit);
  }
  return value;
}

Json tmpfs_json(const std::vector<wire::Tmpfs>& mounts) {
  Json list = Json::array();
  for (const wire::Tmpfs& tmpfs : mounts) {
    list.push_back(
        {{"path", text_json(tmpfs.path)}, {"size", tmpfs.size}, {"inodes", tmpfs.inodes}, {"mode", tmpfs.mode}});
  }
  return list;
}

Json allowed_json(const wire::Profile& profile) {
  return {{"roots", names_of(profile.roots, {"usr", "directory", "host"})},
          {"networks", names_of(profile.networks, {"none", "host"})},
          {"workspace", names_of(profile.workspace, {"ro", "rw"})},
          {"binds", names_of(profile.binds, {"ro", "rw"})},
          {"proc", name_of(profile.proc, {"full", "pid"})},
          {"unix_sockets", name_of(profile.unix_sockets, {"none", "any"})},
          {"user_root", profile.user_root},
          {"nested", profile.nested},
          {"learn", profile.learn},
          {"tmpfs_free", profile.tmpfs_free},
          {"tmpfs", tmpfs_json(profile.tmpfs)},
          {"terminals", profile.terminals},
          {"limits", limits_json(profile.limits)}};
}

Json ids_json(const std::vector<wire::ProfileId>& ids) {
  Json list = Json::array();
  for (const wire::ProfileId& one : ids) list.push_back({{"name", one.name}, {"id", one.id}});
  return list;
}

Json binds_json(const wire::JailPlan& plan) {
  Json list = Json::array();
  for (const wire::Bind& bind : plan.binds) {
    list.push_back({{"fd", bind.fd},
                    {"target", text_json(bind.target)},
                    {"access", name_of(bind.access, {"ro", "rw"})},
                    {"workspace", bind.workspace},
                    {"groups", wire::writable_above(plan, bind) == nullptr ? "mapped" : "hidden"}});
  }
  return list;
}

Json job_json(const wire::JobPlan& job, const std::vector<std::string>& hidden_names) {
  Json value = {{"argv", texts_json(shown_argv(hidden_names, job.argv, job.env))},
                {"env", texts_json(shown_env(hidden_names, job.env))},
                {"workdir", text_json(job.workdir)},
                {"stdio", name_of(job.stdio, {"null", "pipes", "inherit"})}};
  if (job.stdio == wire::StdioMode::kInherit) value["stdio_fds"] = job.stdio_fds;
  return value;
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string explain(const wire::JailPlan& plan, const wire::Profile& profile, std::string_view preset) {
  Json value = {
      {"profile", plan.profile},
      {"profile_hash", hex(plan.profile_hash)},
      {"filter", profile.filter_name},
      {"user",
       {{"uid", plan.inside_uid}, {"gid", plan.inside_gid}, {"name", plan.user_name}, {"home", text_json(plan.home)}}},
      {"root", name_of(plan.root, {"usr", "directory", "host"})},
      {"proc", name_of(plan.proc, {"full", "pid"})},
      {"network", name_of(plan.network, {"none", "host"})},
      {"unix_sockets", name_of(plan.unix_sockets, {"none", "any"})},
      {"etc", texts_json(profile.etc)},
      {"binds", binds_json(plan)},
      {"tmpfs", tmpfs_json(plan.tmpfs)},
      {"dirs", texts_json(plan.dirs)},
      {"hostname", plan.hostname},
      {"preset", preset},
      {"limits", limits_json(plan.limits)},
      {"job", job_json(plan.job, profile.hidden_names)},
      {"allowed", allowed_json(profile)}};
  if (plan.root == wire::RootKind::kDirectory) value["root_fd"] = plan.root_fd;
  return dump(value);
}

// As a profile's file has it.
Json landlock_json(const wire::ProfileLandlock& landlock) {
  Json value = Json::object();
  const auto add_paths = [&](const char* name, const wire::LandlockPaths& list) {
    if (list.limited) value[name] = list.paths;
  };
  add_paths("read", landlock.read);
  add_paths("write", landlock.write);
  add_paths("execute", landlock.execute);
  add_paths("truncate", landlock.truncate);
  add_paths("ioctl", landlock.ioctl);
  if (landlock.limits_connect) value["tcp_connect"] = landlock.connect;
  if (landlock.limits_bind) value["tcp_bind"] = landlock.bind;
  if (landlock.scopes != 0) value["scopes"] = names_of(landlock.scopes, {"abstract_unix", "signal"});
  if (landlock.optional != 0) value["optional"] = names_of(landlock.optional, {"truncate", "tcp", "ioctl", "scopes"});
  return value;
}

std::string profile_json(const wire::Profile& profile) {
  Json value = allowed_json(profile);
  value["may_use"] = to_text(profile.who);
  if (profile.who.restricted) {
    value["users"] = ids_json(profile.who.users);
    value["groups"] = ids_json(profile.who.groups);
  }
  value["name"] = profile.name;
  value["description"] = profile.description;
  value["source"] = profile.source;
  value["hash"] = hex(profile.hash);
  value["filter"] = profile.filter_name;
  value["filter_instructions"] = profile.filter.size() / 8;
  value["landlock"] = landlock_json(profile.landlock);
  value["redaction"] = {{"names", texts_json(profile.hidden_names)}};
  value["etc"] = texts_json(profile.etc);
  Json env = Json::array();
  for (const wire::ProfileEnv& entry : profile.env) env.push_back(text_json(entry.name + "=" + entry.value));
  value["env"] = env;
  return dump(value);
}

}  // namespace sandboxd::plan
