#include "daemon/tools/rule_text.h"

#include <algorithm>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "seccomp-profiles/compiler/syscalls.h"

namespace sandboxd::tools {

using filters::Condition;
using filters::Rule;

std::string conditions_text(const Rule& rule) {
  std::string text;
  for (const Condition& condition : rule.when) text += (text.empty() ? "" : " and ") + condition.text;
  return text;
}

std::string parameters_text(const Rule& rule) {
  std::string text;
  for (const auto& [name, values] : rule.profile)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name, fmt::join(values, " or "));
  return text;
}

const filters::BoundCall* call_of(const filters::BoundFilter& bound, const std::string& call) {
  const auto number = filters::syscall_number(bound.arch, call);
  const auto found = number ? bound.calls.find(*number) : bound.calls.end();
  return found == bound.calls.end() ? nullptr : &found->second;
}

std::string group_of(const Rule& rule, const std::string& call) {
  for (const filters::NamedCall& named : rule.calls) {
    if (named.name == call) return named.group;
  }
  return {};
}

std::string calls_text(const Rule& rule) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> members;
  for (const filters::NamedCall& call : rule.calls) {
    const std::string& name = call.group.empty() ? call.name : call.group;
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    if (!call.group.empty()) members[name].push_back(call.name);
  }
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
    if (const auto group = members.find(name); group != members.end())
      text += fmt::format(" ({})", fmt::join(group->second, ", "));
  }
  return text;
}

std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.replace(at, 1, "\\|");
  return text;
}

}  // namespace sandboxd::tools
