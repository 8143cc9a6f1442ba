#include "seccomp-profiles/compiler/compare.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace sandboxd::filters {
namespace {

std::string when_text(const Rule& rule) {
  std::string text;
  for (const Condition& condition : rule.when) text += (text.empty() ? "" : " and ") + condition.text;
  return text;
}

}  // namespace

std::string treatment_text(const BoundFilter& bound, std::uint32_t number) {
  const auto call = bound.calls.find(number);
  if (call == bound.calls.end()) return to_text(bound.filter->default_action);
  std::string text;
  for (const Rule* rule : call->second.rules) {
    if (rule->when.empty()) return text + to_text(rule->action) + (text.empty() ? "" : " otherwise");
    text += fmt::format("{} if {}; ", to_text(rule->action), when_text(*rule));
  }
  return text + to_text(bound.filter->default_action) + " otherwise";
}

std::vector<CallDifference> compare_filters(const BoundFilter& before, const BoundFilter& after) {
  std::map<std::uint32_t, std::string> names;
  for (const BoundFilter* bound : {&before, &after}) {
    for (const auto& [number, call] : bound->calls) names[number] = call.name;
  }
  std::vector<CallDifference> differences;
  for (const auto& [number, name] : names) {
    const std::string was = treatment_text(before, number);
    const std::string is = treatment_text(after, number);
    if (was == is) continue;
    const auto known = std::ranges::find_if(
        differences, [&](const CallDifference& one) { return one.before == was && one.after == is; });
    if (known == differences.end()) {
      differences.push_back({was, is, {name}});
    } else {
      known->calls.push_back(name);
    }
  }
  return differences;
}

}  // namespace sandboxd::filters
