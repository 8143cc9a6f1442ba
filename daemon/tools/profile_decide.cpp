#include "daemon/tools/profile_decide.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/tools/rule_text.h"
#include "seccomp-profiles/compiler/syscalls.h"

namespace sandboxd::tools {
namespace {

using Json = nlohmann::ordered_json;
using filters::Action;
using filters::Args;
using filters::BoundCall;
using filters::Rule;
using filters::Verdict;

bool allows(const Judge& judge, std::uint32_t number, const Args& args) {
  return filters::decide(judge.bound, number, args).action.kind == Action::Kind::kAllow;
}

Result<std::uint64_t> number_of(std::string_view word) {
  const bool hex = word.starts_with("0x");
  const std::string_view digits = hex ? word.substr(2) : word;
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
  if (code != std::errc() || end != digits.data() + digits.size() || digits.empty())
    return make_error("argument {} is no number of 64 bits; expected 16 or 0x10", sandboxd::quoted(std::string(word)));
  return value;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t", at)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// Both filters' rules for a call, so that samples come past the conditions of both.
BoundCall rules_of_both(const Judge& one, const Judge& other, std::uint32_t number) {
  BoundCall both;
  for (const Judge* judge : {&one, &other}) {
    const auto found = judge->bound.calls.find(number);
    if (found == judge->bound.calls.end()) continue;
    both.name = found->second.name;
    both.rules.insert(both.rules.end(), found->second.rules.begin(), found->second.rules.end());
  }
  return both;
}

// A refusal of the base, and the profiles that allow something of it: profile -> calls, by number.
using Allowances = std::map<const Rule*, std::map<std::string, std::vector<std::string>>>;

void add_allowances(const Judge& base, const Judge& other, Allowances& found) {
  for (const filters::SyscallNumber& call : filters::all_syscalls(base.bound.arch)) {
    std::set<const Rule*> widened;
    filters::for_each_args(rules_of_both(base, other, call.number), [&](const Args& args) {
      const Verdict verdict = filters::decide(base.bound, call.number, args);
      if (verdict.action.kind != Action::Kind::kAllow && allows(other, call.number, args)) widened.insert(verdict.rule);
    });
    for (const Rule* rule : widened) found[rule][other.profile.name].push_back(call.name);
  }
}

std::string allowed_text(const std::map<std::string, std::vector<std::string>>& profiles) {
  std::string text;
  for (const auto& [profile, calls] : profiles)
    text += fmt::format("{}`{}` ({})", text.empty() ? "" : "; ", profile, fmt::join(calls, ", "));
  return text;
}

std::string allowance_row(const Rule& rule, const std::map<std::string, std::vector<std::string>>& profiles) {
  return fmt::format("| {} | {} | `{}` | {} | {} |\n", cell(calls_text(rule)), cell(conditions_text(rule)),
                     to_text(rule.action), cell(rule.why), allowed_text(profiles));
}

// Choices of a run that the base has not.
std::string widened_keys(const filters::Profile& base, const filters::Profile& other) {
  using Words = std::vector<std::string> filters::Profile::*;
  const std::array<std::pair<std::string_view, Words>, 4> keys = {{{"root", &filters::Profile::roots},
                                                                   {"network", &filters::Profile::networks},
                                                                   {"workspace", &filters::Profile::workspace},
                                                                   {"binds", &filters::Profile::binds}}};
  std::string rows;
  const auto add = [&](std::string_view key, const std::string& value) {
    rows += fmt::format("| {} `{}` |  | `refused` | the profile doesn't list it | `{}` |\n", key, value, other.name);
  };
  for (const auto& [key, words] : keys) {
    for (const std::string& word : other.*words) {
      if (std::ranges::find(base.*words, word) == (base.*words).end()) add(key, word);
    }
  }
  if (other.unix_sockets != base.unix_sockets && other.unix_sockets == "any") add("unix_sockets", "any");
  if (other.user_root && !base.user_root) add("user", "root");
  if (other.nested && !base.nested) add("nested", "true");
  return rows;
}

}  // namespace

Result<Call> parse_call(filters::Arch arch, std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  if (words.empty() || words.size() > 7)
    return make_error("expected a system call and up to six numbers, not {}", sandboxd::quoted(std::string(line)));
  Call call{.name = std::string(words[0])};
  const auto number = filters::syscall_number(arch, call.name);
  if (!number) return make_error("{} has no system call {}", to_text(arch), sandboxd::quoted(call.name));
  call.number = *number;
  for (std::size_t i = 1; i < words.size(); ++i) {
    TRY_ASSIGN(call.args[i - 1], number_of(words[i]));
  }
  return call;
}

std::string decision_json(const Judge& judge, const std::vector<Judge>& others, const Call& call) {
  const Verdict verdict = filters::decide(judge.bound, call.number, call.args);
  const filters::Filter& filter = *judge.bound.filter;
  Json value = {{"syscall", call.name}, {"action", to_text(verdict.action)}};
  value["why"] = verdict.rule == nullptr ? filter.default_why : verdict.rule->why;
  value["file"] = verdict.rule == nullptr ? filter.file : verdict.rule->file;
  if (verdict.rule != nullptr) {
    value["line"] = verdict.rule->line;
    if (!verdict.rule->when.empty()) value["when"] = conditions_text(*verdict.rule);
    if (const std::string group = group_of(*verdict.rule, call.name); !group.empty()) value["group"] = group;
  }
  Json allowed = Json::array();
  for (const Judge& other : others) {
    if (allows(other, call.number, call.args)) allowed.push_back(other.profile.name);
  }
  value["allowed_by"] = std::move(allowed);
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string allowances_table(const Judge& base, const std::vector<Judge>& others) {
  Allowances found;
  std::string keys;
  for (const Judge& other : others) {
    add_allowances(base, other, found);
    keys += widened_keys(base.profile, other.profile);
  }
  std::string table = "| calls | if | answer | why | allowed by |\n|---|---|---|---|---|\n";
  for (const Rule& rule : base.bound.filter->rules) {
    if (const auto row = found.find(&rule); row != found.end()) table += allowance_row(rule, row->second);
  }
  if (const auto unnamed = found.find(nullptr); unnamed != found.end())
    table +=
        fmt::format("| calls that no rule names |  | `{}` | {} | {} |\n", to_text(base.bound.filter->default_action),
                    cell(base.bound.filter->default_why), allowed_text(unnamed->second));
  return table + keys;
}

}  // namespace sandboxd::tools
