#include "seccomp-profiles/compiler/bind.h"

#include <algorithm>

#include "base/text.h"
#include "seccomp-profiles/compiler/syscalls.h"
#include "seccomp-profiles/model/json_tree.h"

namespace sandboxd::filters {
namespace {

Error unknown_call(std::string_view file, const NamedCall& call) {
  const std::vector<SyscallNumber> all = all_syscalls(Arch::kX86_64);
  std::vector<std::string_view> names;
  for (const SyscallNumber& known : all) names.push_back(known.name);
  const std::string_view near = nearest(call.name, names);
  const std::string hint = near.empty() ? "expected a name from syscalls(2)" : fmt::format("did you mean '{}'?", near);
  return make_error("{} line {}, at '{}': unknown system call {}; {}", sandboxd::quoted(file), call.line, call.path,
                    sandboxd::quoted(call.name), hint);
}

Error missing_on(std::string_view file, const NamedCall& call, Arch arch) {
  const Arch other = arch == Arch::kX86_64 ? Arch::kAarch64 : Arch::kX86_64;
  return make_error(
      "{} line {}, at '{}': {} has no system call {}; give the rule \"architectures\": [\"{}\"], or list it "
      "under '{}' in its group",
      sandboxd::quoted(file), call.line, call.path, to_text(arch), sandboxd::quoted(call.name), to_text(other),
      to_text(other));
}

Status check_calls(std::string_view file, const std::vector<NamedCall>& calls) {
  for (const NamedCall& call : calls) {
    if (!is_syscall_name(call.name)) return unknown_call(file, call);
    for (const Arch arch : kArchs) {
      if ((call.archs & arch_bit(arch)) != 0 && !syscall_number(arch, call.name)) return missing_on(file, call, arch);
    }
  }
  return {};
}

bool is_final(const Rule& rule) { return rule.when.empty(); }

}  // namespace

Status check_names(const Filter& filter) {
  for (const GroupCalls& group : filter.groups) TRY(check_calls(group.file, group.calls));
  for (const Rule& rule : filter.rules) TRY(check_calls(rule.file, rule.calls));
  return {};
}

Result<BoundFilter> bind_filter(const Filter& filter, Arch arch, const Parameters& parameters) {
  TRY(check_names(filter));
  BoundFilter bound;
  bound.filter = &filter;
  bound.arch = arch;
  for (const Rule& rule : filter.rules) {
    if (!applies(rule, parameters)) continue;
    for (const NamedCall& call : rule.calls) {
      if ((call.archs & arch_bit(arch)) == 0) continue;
      BoundCall& entry = bound.calls[*syscall_number(arch, call.name)];
      entry.name = call.name;
      if (entry.rules.empty() || !is_final(*entry.rules.back())) entry.rules.push_back(&rule);
    }
  }
  return bound;
}

Verdict decide(const BoundFilter& bound, std::uint32_t number, const std::array<std::uint64_t, 6>& args) {
  if (bound.arch == Arch::kX86_64 && number >= kX32Bit) return {bound.filter->foreign_action, nullptr};
  const auto call = bound.calls.find(number);
  if (call == bound.calls.end()) return {bound.filter->default_action, nullptr};
  for (const Rule* rule : call->second.rules) {
    if (std::ranges::all_of(rule->when, [&](const Condition& c) { return c.holds(args[c.arg]); }))
      return {rule->action, rule};
  }
  return {bound.filter->default_action, nullptr};
}

}  // namespace sandboxd::filters
