#include "daemon/tools/profile_report.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limit_text.h"
#include "base/text.h"
#include "daemon/tools/rule_text.h"

namespace sandboxd::tools {
namespace {

using Json = nlohmann::ordered_json;
using filters::Rule;

// As a file has it.
Json limits_json(const Limits& limits) {
  Json value = Json::object();
  for (const LimitRow& row : kLimitRows) {
    const std::uint64_t limit = limits.*row.member;
    const bool text = row.kind == LimitKind::kTime || row.kind == LimitKind::kCores || none_of(row) == limit;
    value[std::string(row.name)] = text ? Json(limit_text(row, limit)) : Json(limit);
  }
  return value;
}

// As a file has it: a name, or an id as a number.
Json accounts_json(const std::vector<std::string>& words) {
  Json list = Json::array();
  for (const std::string& word : words) {
    const auto id = parse_uint(word, UINT32_MAX);
    list.push_back(id ? Json(*id) : Json(word));
  }
  return list;
}

}  // namespace

std::string resolved_json(const filters::Profile& profile) {
  Json tmpfs = Json::array();
  for (const filters::ProfileTmpfs& one : profile.tmpfs) {
    tmpfs.push_back(
        {{"path", one.path}, {"size", one.size}, {"inodes", one.inodes}, {"mode", fmt::format("{:04o}", one.mode)}});
  }
  Json value = {{"name", profile.name},
                {"description", profile.description},
                {"filter", profile.filter},
                {"roots", profile.roots},
                {"networks", profile.networks},
                {"workspace", profile.workspace},
                {"binds", profile.binds},
                {"proc", profile.proc},
                {"unix_sockets", profile.unix_sockets},
                {"user_root", profile.user_root},
                {"nested", profile.nested},
                {"learn", profile.learn},
                {"tmpfs", tmpfs},
                {"tmpfs_free", profile.tmpfs_free},
                {"etc", profile.etc},
                {"env", profile.env},
                {"limits", limits_json(profile.limits)}};
  value["terminals"] = profile.terminals;
  value["redaction"] = {{"names", profile.hidden_names}};
  if (!profile.files.empty()) value["files"] = profile.files;
  if (profile.who.users) value["users"] = accounts_json(*profile.who.users);
  if (profile.who.groups) value["groups"] = accounts_json(*profile.who.groups);
  const filters::ProfileLandlock& landlock = profile.landlock;
  if (landlock.read) value["landlock"]["read"] = *landlock.read;
  if (landlock.write) value["landlock"]["write"] = *landlock.write;
  if (landlock.execute) value["landlock"]["execute"] = *landlock.execute;
  if (landlock.truncate) value["landlock"]["truncate"] = *landlock.truncate;
  if (landlock.ioctl) value["landlock"]["ioctl"] = *landlock.ioctl;
  if (landlock.tcp_connect) value["landlock"]["tcp_connect"] = *landlock.tcp_connect;
  if (landlock.tcp_bind) value["landlock"]["tcp_bind"] = *landlock.tcp_bind;
  if (!landlock.scopes.empty()) value["landlock"]["scopes"] = landlock.scopes;
  if (!landlock.optional.empty()) value["landlock"]["optional"] = landlock.optional;
  for (const auto& [key, reason] : profile.reasons)
    value["reasons"][key] = {{reason.boundary ? "boundary" : "lint", reason.text}};
  return value.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string preset_json(const wire::Preset& preset) {
  const Json value = {
      {"name", preset.name}, {"description", preset.description}, {"limits", limits_json(preset.limits)}};
  return value.dump(2, ' ', false, Json::error_handler_t::replace);
}

namespace {

// Keys as "limits.nofile" with their values; lists of words and the parts of a tmpfs as one text each.
std::map<std::string, std::string> leaves_of(const filters::Profile& profile) {
  std::map<std::string, std::string> leaves;
  const Json value = Json::parse(resolved_json(profile), nullptr, false);
  for (const auto& [key, member] : value.items()) {
    if (key == "name" || key == "description" || key == "reasons") continue;
    if (key == "tmpfs") {
      for (const Json& one : member) leaves["tmpfs " + one.value("path", "")] = one.dump();
    } else if (member.is_object()) {
      for (const auto& [name, inner] : member.items())
        leaves[key + "." + name] = inner.is_string() ? inner.get<std::string>() : inner.dump();
    } else {
      leaves[key] = member.is_string() ? member.get<std::string>() : member.dump();
    }
  }
  return leaves;
}

}  // namespace

std::string rules_json(const filters::Filter& filter) {
  Json rules = Json::array();
  for (const Rule& rule : filter.rules) {
    Json one = {{"action", to_text(rule.action)}, {"calls", calls_text(rule)}};
    if (!rule.when.empty()) one["when"] = conditions_text(rule);
    if (!rule.profile.empty()) one["profile"] = parameters_text(rule);
    one.update({{"why", rule.why}, {"file", rule.file}, {"line", rule.line}});
    rules.push_back(std::move(one));
  }
  const Json value = {{"name", filter.name},
                      {"description", filter.description},
                      {"default", to_text(filter.default_action)},
                      {"foreign_abi", to_text(filter.foreign_action)},
                      {"files", filter.files},
                      {"rules", rules}};
  return value.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::vector<KeyDifference> compare_profiles(const filters::Profile& before, const filters::Profile& after) {
  const auto was = leaves_of(before);
  const auto is = leaves_of(after);
  std::map<std::string, KeyDifference> all;
  for (const auto& [key, value] : was) all[key].before = value;
  for (const auto& [key, value] : is) all[key].after = value;
  std::vector<KeyDifference> differences;
  for (auto& [key, one] : all) {
    if (one.before != one.after) differences.push_back({key, one.before, one.after});
  }
  return differences;
}

std::vector<KeyDifference> compare_answers(const filters::Filter& before, const filters::Filter& after) {
  std::vector<KeyDifference> differences;
  const auto compare = [&](std::string key, const filters::Action& was, const filters::Action& is) {
    if (!(was == is)) differences.push_back({std::move(key), to_text(was), to_text(is)});
  };
  compare("calls without a rule", before.default_action, after.default_action);
  compare("calls of another ABI", before.foreign_action, after.foreign_action);
  return differences;
}

std::string difference_text(const Difference& difference) {
  std::string text;
  const auto add = [&](const std::string& head, const std::string& before, const std::string& after) {
    text += head + "\n";
    if (!before.empty()) text += "  - " + before + "\n";
    if (!after.empty()) text += "  + " + after + "\n";
  };
  for (const KeyDifference& one : difference.keys) add(one.key, one.before, one.after);
  for (const KeyDifference& one : difference.answers) add(one.key, one.before, one.after);
  for (const filters::CallDifference& one : difference.calls)
    add(fmt::format("{}", fmt::join(one.calls, ", ")), one.before, one.after);
  return text;
}

std::string difference_json(const Difference& difference) {
  const auto keys_json = [](const std::vector<KeyDifference>& keys) {
    Json list = Json::array();
    for (const KeyDifference& one : keys)
      list.push_back({{"key", one.key}, {"before", one.before}, {"after", one.after}});
    return list;
  };
  Json calls = Json::array();
  for (const filters::CallDifference& one : difference.calls)
    calls.push_back({{"syscalls", one.calls}, {"before", one.before}, {"after", one.after}});
  const Json value = {
      {"keys", keys_json(difference.keys)}, {"answers", keys_json(difference.answers)}, {"calls", std::move(calls)}};
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string explain_text(const filters::BoundFilter& bound, const std::string& call) {
  const filters::Filter& filter = *bound.filter;
  const filters::BoundCall* found = call_of(bound, call);
  if (found == nullptr) {
    return fmt::format("{} ({}): {}\n  no rule of filter '{}' names it: {}\n", call, to_text(bound.arch),
                       to_text(filter.default_action), filter.name, filter.default_why);
  }
  std::string text = fmt::format("{} ({}), filter '{}':\n", call, to_text(bound.arch), filter.name);
  bool decided = false;
  for (const Rule* rule : found->rules) {
    const std::string group = group_of(*rule, call);
    text +=
        fmt::format("  {}{}{}\n      {}\n      {} line {}{}\n", to_text(rule->action),
                    rule->when.empty() ? (found->rules.size() > 1 ? " otherwise" : "") : " if ", conditions_text(*rule),
                    rule->why, rule->file, rule->line, group.empty() ? "" : ", as one of " + group);
    decided = decided || rule->when.empty();
  }
  if (!decided) text += fmt::format("  {} otherwise\n      {}\n", to_text(filter.default_action), filter.default_why);
  return text;
}

std::string explain_json(const filters::BoundFilter& bound, const std::string& call) {
  Json rules = Json::array();
  bool decided = false;
  if (const filters::BoundCall* found = call_of(bound, call)) {
    for (const Rule* rule : found->rules) {
      Json one = {{"action", to_text(rule->action)}, {"why", rule->why}, {"file", rule->file}, {"line", rule->line}};
      if (!rule->when.empty()) one["when"] = conditions_text(*rule);
      if (const std::string group = group_of(*rule, call); !group.empty()) one["group"] = group;
      rules.push_back(std::move(one));
      decided = decided || rule->when.empty();
    }
  }
  if (!decided)
    rules.push_back({{"action", to_text(bound.filter->default_action)},
                     {"why", bound.filter->default_why},
                     {"file", bound.filter->file}});
  const Json value = {
      {"syscall", call}, {"architecture", to_text(bound.arch)}, {"filter", bound.filter->name}, {"rules", rules}};
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string reasons_table(const filters::Profile& profile) {
  const auto leaves = leaves_of(profile);
  std::string table = "| key | value | held by | why |\n|---|---|---|---|\n";
  for (const auto& [key, reason] : profile.reasons) {
    const auto leaf = leaves.find(key);
    const std::string value = leaf == leaves.end() ? std::string() : fmt::format("`{}`", leaf->second);
    table += fmt::format("| {} | {} | {} | {} |\n", key, cell(value), reason.boundary ? "the kernel" : "lint",
                         cell(reason.text));
  }
  return table;
}

std::string refusals_page(const filters::Filter& filter) {
  std::string page = fmt::format("# What the filter `{}` refuses\n\n{}.\n\n", filter.name, filter.description);
  page += fmt::format("This page is made by `sandboxd-profile table {}`; a test holds it to the filter's files.\n\n",
                      filter.name);
  page +=
      fmt::format("* A call that no rule names: `{}`, since {}.\n", to_text(filter.default_action), filter.default_why);
  page +=
      fmt::format("* A call of another ABI: `{}`, since {}.\n\n", to_text(filter.foreign_action), filter.foreign_why);
  page += "The first rule that matches a call decides it, so a row holds for what the rows above it have left.\n\n";
  page += "| calls | if | answer | why |\n|---|---|---|---|\n";
  for (const Rule& rule : filter.rules) {
    if (rule.action.kind == filters::Action::Kind::kAllow) continue;
    std::string when = conditions_text(rule);
    const std::string profile = parameters_text(rule);
    if (!profile.empty()) when += fmt::format("{}profile says {}", when.empty() ? "" : ", ", profile);
    page += fmt::format("| {} | {} | `{}` | {} |\n", cell(calls_text(rule)), cell(when), to_text(rule.action),
                        cell(rule.why));
  }
  return page;
}

}  // namespace sandboxd::tools
