#include "daemon/plan/make_plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "daemon/plan/merge_limits.h"
#include "daemon/plan/tmpfs.h"
#include "daemon/wire/narrow.h"

namespace sandboxd::plan {
namespace {

using protocol::JobSpec;

constexpr std::string_view kDefaultHome = "/tmp";  // always there and writable; the caller's own home is not shown
constexpr std::string_view kDefaultHostname = "jail";

// Where an operator finds what a malformed plan came from.
struct RulePath {
  std::string_view rule, path;
};
constexpr std::array kPaths = {
    RulePath{"argv", "/parameters/spec/argv"},
    RulePath{"env", "/parameters/spec/env"},
    RulePath{"hostname", "/parameters/spec/hostname"},
    RulePath{"workdir", "/parameters/spec/workdir"},
    RulePath{"descriptors", "/parameters/spec/token"},
    RulePath{"token", "/parameters/spec/token"},
    RulePath{"target", "/parameters/spec/binds"},
    RulePath{"duplicate", "/parameters/spec/binds"},
    RulePath{"nesting", "/parameters/spec/binds"},
    RulePath{"dirs", "/parameters/spec/dirs"},
    RulePath{"counts", "/parameters/spec"},
    RulePath{"limits", "/parameters/spec"},
    RulePath{"stdio", "/parameters/spec/stdio"},
};

Outcome refusal_of(wire::Breach breach) {
  if (!breach.malformed) return Denied{std::move(breach.rule), std::move(breach.allowed)};
  const auto* row = std::ranges::find(kPaths, breach.rule, &RulePath::rule);
  std::string path = row == kPaths.end() ? "/parameters/spec" : std::string(row->path);
  return InvalidArgument{std::move(path), std::move(breach.value), std::move(breach.allowed)};
}

// What a plan can't show any more.
std::optional<InvalidArgument> check_spec(const JobSpec& spec, const Context& context) {
  if (context.session && (spec.stdin_data || spec.tty || spec.detach || spec.log || spec.merge_stderr ||
                          spec.stdio == protocol::Stdio::kInherit)) {
    return InvalidArgument{"/parameters/spec", "streams", "none: a session starts without a job"};
  }
  if (!context.session && spec.session_ttl)
    return InvalidArgument{"/parameters/spec/session_ttl", "present", "nothing, unless a session is created"};
  if (spec.wall_time && *spec.wall_time == 0) return InvalidArgument{"/parameters/spec/wall_time", "0", "more than 0"};
  if (spec.stdin_data && spec.stdio != protocol::Stdio::kRelay) {
    return InvalidArgument{"/parameters/spec/stdin_data", "present", "nothing, unless stdio is relay"};
  }
  if ((spec.root == protocol::Root::kDirectory) != spec.root_fd.has_value()) {
    return InvalidArgument{"/parameters/spec/root_fd", spec.root_fd ? "present" : "missing",
                           "the descriptor's index if, and only if, root is directory"};
  }
  if (spec.tty && (spec.stdio == protocol::Stdio::kNull || spec.stdio == protocol::Stdio::kInherit)) {
    return InvalidArgument{"/parameters/spec/tty", "present", "nothing, unless stdio is relay or pass"};
  }
  for (const protocol::Tmpfs& tmpfs : spec.tmpfs) {
    if (tmpfs.size && *tmpfs.size == 0) return InvalidArgument{"/parameters/spec/tmpfs", "size 0", "more than 0"};
  }
  for (const auto& [name, value] : spec.env) {
    if (name.find('=') != std::string::npos) return InvalidArgument{"/parameters/spec/env", name, "a name without '='"};
  }
  return {};
}

wire::Bind bind_of(const protocol::Bind& bind, bool workspace) {
  return {bind.fd, bind.target, bind.access == protocol::Access::kRw ? wire::Access::kRw : wire::Access::kRo,
          workspace};
}

void put_binds(const JobSpec& spec, wire::JailPlan& plan) {
  if (spec.workspace) plan.binds.push_back(bind_of(*spec.workspace, true));
  for (const protocol::Bind& bind : spec.binds) plan.binds.push_back(bind_of(bind, false));
  // A path sorts before all that lies beneath it, so that an inner mount is made after the outer one.
  std::ranges::stable_sort(plan.binds, {}, &wire::Bind::target);
}

void put_env(const JobSpec& spec, const wire::Profile& profile, wire::JailPlan& plan) {
  std::vector<std::pair<std::string, std::string>> env = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", plan.home}, {"LANG", "C.UTF-8"}};
  const auto set = [&env](const std::string& name, const std::string& value) {
    const auto found = std::ranges::find(env, name, &std::pair<std::string, std::string>::first);
    if (found == env.end()) {
      env.emplace_back(name, value);
    } else {
      found->second = value;
    }
  };
  for (const wire::ProfileEnv& entry : profile.env) set(entry.name, entry.value);
  for (const auto& [name, value] : spec.env) set(name, value);
  for (const auto& [name, value] : env) plan.job.env.push_back(name + "=" + value);
}

void put_user(const JobSpec& spec, const wire::Profile& profile, const Context& context, wire::JailPlan& plan) {
  plan.inside_uid = spec.user_root ? 0 : context.uid;
  plan.inside_gid = spec.user_root ? 0 : context.gid;
  const std::string& own = context.user_name;
  plan.user_name = plan.inside_uid == 0 ? "root" : wire::is_user_name(own) && own != "root" ? own : "user";
  const auto home = std::ranges::find(profile.env, "HOME", &wire::ProfileEnv::name);
  plan.home = home == profile.env.end() ? std::string(kDefaultHome) : home->value;
}

void put_job(const JobSpec& spec, wire::JailPlan& plan) {
  plan.job.argv = spec.argv;
  plan.job.workdir = spec.workdir ? *spec.workdir : spec.workspace ? spec.workspace->target : "/";
  switch (spec.stdio) {
    case protocol::Stdio::kRelay:
    case protocol::Stdio::kPass:
      plan.job.stdio = spec.tty ? wire::StdioMode::kTerminal : wire::StdioMode::kPipes;
      break;
    case protocol::Stdio::kInherit:
      plan.job.stdio = wire::StdioMode::kInherit;
      plan.job.stdio_fds = spec.stdio_fds;
      break;
    case protocol::Stdio::kNull: plan.job.stdio = wire::StdioMode::kNull; break;
  }
  plan.job.merge_stderr = spec.merge_stderr && plan.job.stdio == wire::StdioMode::kPipes;
  if (plan.job.stdio == wire::StdioMode::kTerminal) {
    plan.job.rows = spec.tty->rows;
    plan.job.columns = spec.tty->columns;
  }
}

wire::RootKind root_of(protocol::Root root) {
  switch (root) {
    case protocol::Root::kDirectory: return wire::RootKind::kDirectory;
    case protocol::Root::kHost: return wire::RootKind::kHost;
    case protocol::Root::kUsr: break;
  }
  return wire::RootKind::kUsr;
}

}  // namespace

Outcome make_plan(const JobSpec& spec, const wire::Profile& profile, const Context& context) {
  if (!context.admin && profile.learn) return Denied{"learn", "the administrator, by admin.sock"};
  if (!context.admin && !wire::may_use(profile.who, context.uid, context.gid, context.groups))
    return Denied{fmt::format("profile {}: users", quoted(profile.name)), to_text(profile.who)};
  if (auto wrong = check_spec(spec, context)) return std::move(*wrong);
  wire::JailPlan plan;
  plan.number = context.number;
  plan.jail = context.jail;
  plan.request = context.request;
  plan.profile = profile.name;
  plan.profile_hash = profile.hash;
  plan.has_token = spec.token.has_value();
  if (spec.token) plan.token = *spec.token;
  put_user(spec, profile, context, plan);
  plan.root = root_of(spec.root);
  plan.root_fd = spec.root_fd.value_or(0);
  plan.proc = profile.proc;
  plan.network = spec.network == protocol::Network::kHost ? wire::NetworkMode::kHost : wire::NetworkMode::kNone;
  plan.unix_sockets = profile.unix_sockets;
  auto limits = merge_limits(spec, profile, context.presets);
  if (auto* denied = std::get_if<Denied>(&limits)) return std::move(*denied);
  if (auto* wrong = std::get_if<InvalidArgument>(&limits)) return std::move(*wrong);
  plan.limits = std::get<Limits>(limits);
  if (context.nofile_most != 0 && plan.limits.nofile > context.nofile_most)
    return InvalidArgument{
        "/parameters/spec/limits/nofile", fmt::format("{}", plan.limits.nofile),
        fmt::format("at most {}, sandboxd-launcher's own hard limit; ask for less, or raise that (RLIMIT_NOFILE, "
                    "systemd's LimitNOFILE=)",
                    context.nofile_most)};
  plan.terminals = profile.terminals;
  put_binds(spec, plan);
  put_tmpfs(spec, profile, plan);
  plan.dirs = spec.dirs;
  plan.hostname = spec.hostname.value_or(std::string(kDefaultHostname));
  put_env(spec, profile, plan);
  put_job(spec, plan);
  plan.session = context.session;
  plan.explain_denials = spec.explain_denials;
  plan.learn = profile.learn;
  if (plan.session) plan.job.stdio = wire::StdioMode::kNull;
  if (auto breach = wire::find_breach(plan, profile)) return refusal_of(std::move(*breach));
  return plan;
}

}  // namespace sandboxd::plan
