// From files to one Filter: keys, groups, includes, and the checks that need more than one rule.
#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "seccomp-profiles/model/constants.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/json_tree.h"

namespace sandboxd::filters {
namespace {

constexpr std::array<std::string_view, 6> kFileKeys = {"name",        "description", "default",
                                                       "foreign_abi", "groups",      "rules"};
constexpr std::array<std::string_view, 4> kGroupKeys = {"why", "syscalls", "x86_64", "aarch64"};
constexpr std::array<std::string_view, 1> kIncludeKeys = {"include"};
constexpr std::array<std::string_view, 7> kRuleKeys = {"syscalls", "architectures", "when", "profile",
                                                       "action",   "errno",         "why"};
constexpr std::array<std::string_view, 3> kActionKeys = {"action", "errno", "why"};
constexpr std::array<std::string_view, 5> kConditionKeys = {"arg", "width", "op", "mask", "value"};
constexpr std::size_t kMaxIncludes = 16;
constexpr std::size_t kMaxCalls = 1024;  // there are about 400

struct OpName {
  std::string_view name;
  Op op;
  bool mask;
  bool value;
  bool list;
  std::string_view sign;
};
constexpr std::array kOps = {
    OpName{"equal", Op::kEqual, false, true, true, "=="},
    OpName{"not_equal", Op::kNotEqual, false, true, true, "!="},
    OpName{"less", Op::kLess, false, true, false, "<"},
    OpName{"less_or_equal", Op::kLessOrEqual, false, true, false, "<="},
    OpName{"greater", Op::kGreater, false, true, false, ">"},
    OpName{"greater_or_equal", Op::kGreaterOrEqual, false, true, false, ">="},
    OpName{"masked_equal", Op::kMaskedEqual, true, true, true, "=="},
    OpName{"masked_not_equal", Op::kMaskedNotEqual, true, true, true, "!="},
    OpName{"any_bit", Op::kAnyBit, true, false, false, "has a bit of"},
    OpName{"no_bit", Op::kNoBit, true, false, false, "has no bit of"},
};

struct Parameter {
  std::string_view name;
  std::array<std::string_view, 2> values;
};
constexpr std::array kParameters = {Parameter{"unix_sockets", {"none", "any"}}};

struct Group {
  std::vector<NamedCall> calls{};
  std::string file{};
};

std::string value_text(const Cursor& at) {
  return at.node().kind == JsonNode::Kind::kText ? at.node().text : std::to_string(at.node().number);
}

Result<std::uint64_t> constant_at(const Cursor& at, std::uint8_t width) {
  std::uint64_t value = 0;
  if (at.node().kind == JsonNode::Kind::kText) {
    const auto known = constant_value(at.node().text);
    if (!known) {
      const std::string_view near = nearest(at.node().text, constant_names());
      return at.unexpected(near.empty()
                               ? "a number (12, \"0x5412\", \"04000\") or a constant's name, several joined by '|'"
                               : fmt::format("a number or a constant's name; did you mean '{}'?", near));
    }
    value = *known;
  } else {
    TRY_ASSIGN(value, at.number(0, UINT64_MAX));
  }
  if (width == 32 && value > UINT32_MAX) return at.unexpected("a number of 32 bits, or \"width\": 64");
  return value;
}

class FilterLoader {
 public:
  explicit FilterLoader(const Loader& loader) : loader_(loader) {}

  Result<Filter> load(std::string_view name) {
    TRY(load_file(name, true));
    TRY(check_reachable());
    return std::move(filter_);
  }

 private:
  Status load_file(std::string_view name, bool top) {
    TRY_ASSIGN(const SourceText source, loader_(name));
    TRY_ASSIGN(const JsonNode root, parse_json(source.text, source.file));
    const Cursor file(root, source.file);
    filter_.files.push_back(source.file);
    loaded_.emplace_back(name);
    TRY(file.only_keys(kFileKeys));
    TRY_ASSIGN(const Cursor name_at, file.member("name"));
    TRY_ASSIGN(const std::string own_name, name_at.text());
    if (own_name != name) return name_at.unexpected(fmt::format("'{}', the file's own name", name));
    TRY_ASSIGN(const Cursor description_at, file.member("description"));
    TRY_ASSIGN(const std::string description, description_at.filled_text());
    if (top) {
      filter_.name = own_name;
      filter_.description = description;
      filter_.file = source.file;
      TRY(load_top_actions(file));
    } else if (file.has("default") || file.has("foreign_abi")) {
      return file.error(
          "has 'default' or 'foreign_abi', so it is a whole filter; only files without them can be included");
    }
    if (file.has("groups")) TRY(load_groups(file, source.file));
    TRY_ASSIGN(const Cursor rules, file.member("rules"));
    TRY_ASSIGN(const std::vector<Cursor> entries, rules.items());
    for (const Cursor& entry : entries) TRY(load_entry(entry, source.file));
    return {};
  }

  Status load_top_actions(const Cursor& file) {
    const auto load_one = [&](std::string_view key, Action& action, std::string& why) -> Status {
      TRY_ASSIGN(const Cursor at, file.member(key));
      TRY(at.only_keys(kActionKeys));
      TRY_ASSIGN(action, action_at(at));
      TRY_ASSIGN(const Cursor why_at, at.member("why"));
      TRY_ASSIGN(why, why_at.filled_text());
      // Unknown calls are calls that nobody has judged yet.
      if (action.kind == Action::Kind::kAllow) return at.error("must not be 'allow': a filter lists what is allowed");
      return {};
    };
    TRY(load_one("default", filter_.default_action, filter_.default_why));
    return load_one("foreign_abi", filter_.foreign_action, filter_.foreign_why);
  }

  Status load_groups(const Cursor& file, const std::string& name) {
    TRY_ASSIGN(const Cursor groups_at, file.member("groups"));
    TRY_ASSIGN(const auto groups, groups_at.members());
    for (const auto& [group_name, at] : groups) {
      if (!group_name.starts_with('@') || !is_name(group_name.substr(1)))
        return at.error("a group's name is '@' and a name, as in '@process'");
      if (const auto other = groups_.find(group_name); other != groups_.end()) {
        return at.error(fmt::format("group {} is defined in {} already", sandboxd::quoted(group_name),
                                    sandboxd::quoted(other->second.file)));
      }
      TRY(at.only_keys(kGroupKeys));
      TRY_ASSIGN(const Cursor why, at.member("why"));
      TRY(why.filled_text());
      Group group;
      group.file = name;
      TRY(add_members(at, "syscalls", kAllArchs, group_name, group.calls));
      TRY(add_members(at, "x86_64", arch_bit(Arch::kX86_64), group_name, group.calls));
      TRY(add_members(at, "aarch64", arch_bit(Arch::kAarch64), group_name, group.calls));
      if (group.calls.empty()) return at.error("has no system call; list them under 'syscalls'");
      filter_.groups.push_back({name, group.calls});
      groups_.emplace(group_name, std::move(group));
    }
    return {};
  }

  Status add_members(const Cursor& at, std::string_view key, std::uint8_t archs, const std::string& group_name,
                     std::vector<NamedCall>& calls) {
    if (!at.has(key)) return {};
    TRY_ASSIGN(const Cursor list, at.member(key));
    TRY_ASSIGN(const std::vector<Cursor> items, list.items());
    for (const Cursor& item : items) TRY(add_call(item, archs, group_name, calls));
    return {};
  }

  // One name of a list: a system call, or a group that is defined above it.
  Status add_call(const Cursor& item, std::uint8_t archs, const std::string& group_name,
                  std::vector<NamedCall>& calls) {
    TRY_ASSIGN(const std::string name, item.filled_text());
    if (!name.starts_with('@')) return add_named(item, {name, archs, group_name, item.path(), item.line()}, calls);
    const auto group = groups_.find(name);
    if (group == groups_.end()) {
      std::vector<std::string_view> known;
      for (const auto& entry : groups_) known.push_back(entry.first);
      const std::string_view near = nearest(name, known);
      return item.error(
          near.empty() ? fmt::format("unknown group {}; groups are defined above their use", sandboxd::quoted(name))
                       : fmt::format("unknown group {}; did you mean '{}'?", sandboxd::quoted(name), near));
    }
    for (NamedCall call : group->second.calls) {
      call.archs &= archs;
      call.group = group_name.empty() ? name : group_name;
      call.path = item.path();
      call.line = item.line();
      if (call.archs != 0) TRY(add_named(item, std::move(call), calls));
    }
    return {};
  }

  static Status add_named(const Cursor& item, NamedCall call, std::vector<NamedCall>& calls) {
    const auto same = [&](const NamedCall& other) {
      return other.name == call.name && (other.archs & call.archs) != 0;
    };
    if (std::ranges::any_of(calls, same))
      return item.error(fmt::format("system call {} is listed twice", sandboxd::quoted(call.name)));
    if (calls.size() >= kMaxCalls) return item.error(fmt::format("more than {} system calls in one list", kMaxCalls));
    calls.push_back(std::move(call));
    return {};
  }

  Status load_entry(const Cursor& entry, const std::string& file) {
    if (!entry.has("include")) return load_rule(entry, file);
    TRY(entry.only_keys(kIncludeKeys));
    TRY_ASSIGN(const Cursor name_at, entry.member("include"));
    TRY_ASSIGN(const std::string name, name_at.text());
    if (!is_name(name)) return name_at.unexpected("the name of a filter file, without '.json'");
    if (std::ranges::find(loaded_, name) != loaded_.end())
      return name_at.error(fmt::format("{} is included already", sandboxd::quoted(name)));
    if (loaded_.size() >= kMaxIncludes) return name_at.error(fmt::format("more than {} files", kMaxIncludes));
    return load_file(name, false).context("{}", name_at.error("include").context);
  }

  Status load_rule(const Cursor& entry, const std::string& file) {
    TRY(entry.only_keys(kRuleKeys));
    Rule rule;
    rule.file = file;
    rule.line = entry.line();
    rule.path = entry.path();
    std::uint8_t archs = kAllArchs;
    if (entry.has("architectures")) {
      TRY_ASSIGN(archs, archs_at(entry));
    }
    TRY_ASSIGN(const Cursor calls, entry.member("syscalls"));
    TRY_ASSIGN(const std::vector<Cursor> items, calls.items());
    if (items.empty()) return calls.error("is empty; list system calls or groups");
    for (const Cursor& item : items) TRY(add_call(item, archs, "", rule.calls));
    TRY_ASSIGN(const Cursor why, entry.member("why"));
    TRY_ASSIGN(rule.why, why.filled_text());
    TRY_ASSIGN(rule.action, action_at(entry));
    TRY(load_conditions(entry, rule));
    TRY(load_parameters(entry, rule));
    filter_.rules.push_back(std::move(rule));
    return {};
  }

  static Result<std::uint8_t> archs_at(const Cursor& entry) {
    TRY_ASSIGN(const Cursor at, entry.member("architectures"));
    TRY_ASSIGN(const std::vector<Cursor> items, at.items());
    std::uint8_t archs = 0;
    for (const Cursor& item : items) {
      TRY_ASSIGN(const std::string name, item.text());
      const Result<Arch> arch = arch_from_text(name);
      if (!arch.ok()) return item.unexpected("'x86_64' or 'aarch64'");
      archs |= arch_bit(*arch);
    }
    if (archs == 0) return at.error("is empty; leave the key out for all architectures");
    return archs;
  }

  static Result<Action> action_at(const Cursor& entry) {
    TRY_ASSIGN(const Cursor at, entry.member("action"));
    TRY_ASSIGN(const std::string kind, at.text());
    if (kind != "errno" && entry.has("errno")) return entry.error("'errno' goes with \"action\": \"errno\" only");
    if (kind == "allow") return Action{Action::Kind::kAllow, 0};
    if (kind == "kill_process") return Action{Action::Kind::kKillProcess, 0};
    if (kind != "errno") return at.unexpected("'allow', 'errno' or 'kill_process'");
    TRY_ASSIGN(const Cursor error_at, entry.member("errno"));
    TRY_ASSIGN(const std::string name, error_at.text());
    const auto code = errno_value(name);
    if (!code) return error_at.unexpected("a name from errno(3), as 'EPERM'");
    return Action{Action::Kind::kErrno, *code};
  }

  static Status load_conditions(const Cursor& entry, Rule& rule) {
    if (!entry.has("when")) return {};
    TRY_ASSIGN(const Cursor at, entry.member("when"));
    TRY_ASSIGN(const std::vector<Cursor> items, at.items());
    if (items.empty()) return at.error("is empty; leave the key out for every call");
    for (const Cursor& item : items) {
      TRY_ASSIGN(Condition condition, condition_at(item));
      rule.when.push_back(std::move(condition));
    }
    return {};
  }

  static Result<Condition> condition_at(const Cursor& at) {
    TRY(at.only_keys(kConditionKeys));
    Condition condition;
    TRY_ASSIGN(const Cursor arg_at, at.member("arg"));
    TRY_ASSIGN(const std::uint64_t arg, arg_at.number(0, 5));
    condition.arg = static_cast<std::uint8_t>(arg);
    // No default: 64 where the kernel reads 32 is a hole, 32 where it reads 64 refuses too much.
    TRY_ASSIGN(const Cursor width_at, at.member("width"));
    TRY_ASSIGN(const std::uint64_t width, width_at.number(32, 64));
    if (width != 32 && width != 64) return width_at.unexpected("32 (int, unsigned, mode_t) or 64 (long, pointer)");
    condition.width = static_cast<std::uint8_t>(width);
    TRY_ASSIGN(const Cursor op_at, at.member("op"));
    TRY_ASSIGN(const std::string op_name, op_at.text());
    const auto* op = std::ranges::find(kOps, op_name, &OpName::name);
    if (op == kOps.end())
      return op_at.unexpected(
          "equal, not_equal, less, less_or_equal, greater, greater_or_equal, masked_equal, masked_not_equal, any_bit "
          "or no_bit");
    condition.op = op->op;
    TRY(operands_at(at, *op, condition));
    return condition;
  }

  static Status operands_at(const Cursor& at, const OpName& op, Condition& condition) {
    if (at.has("mask") != op.mask)
      return at.error(fmt::format("op '{}' {} 'mask'", op.name, op.mask ? "needs" : "takes no"));
    if (at.has("value") != op.value)
      return at.error(fmt::format("op '{}' {} 'value'", op.name, op.value ? "needs" : "takes no"));
    std::string left = fmt::format("arg{}", condition.arg);
    std::string right;
    if (op.mask) {
      TRY_ASSIGN(const Cursor mask_at, at.member("mask"));
      TRY_ASSIGN(condition.mask, constant_at(mask_at, condition.width));
      if (condition.mask == 0) return mask_at.error("is 0: the condition would not look at the argument");
      if (op.value) left = fmt::format("({} & {})", left, value_text(mask_at));
      if (!op.value) right = value_text(mask_at);
    }
    if (op.value) {
      TRY_ASSIGN(const Cursor value_at, at.member("value"));
      TRY(values_at(value_at, op, condition, right));
    }
    const bool several = condition.values.size() > 1;
    const std::string_view sign = several ? (op.sign == "==" ? "in" : "not in") : op.sign;
    condition.text = fmt::format("{} {} {}", left, sign, several ? "{" + right + "}" : right);
    return {};
  }

  static Status values_at(const Cursor& at, const OpName& op, Condition& condition, std::string& text) {
    std::vector<Cursor> items{at};
    if (at.node().kind == JsonNode::Kind::kArray) {
      if (!op.list) return at.error(fmt::format("op '{}' takes one value", op.name));
      TRY_ASSIGN(items, at.items());
      if (items.empty()) return at.error("is empty; give one value or more");
    }
    for (const Cursor& item : items) {
      TRY_ASSIGN(const std::uint64_t value, constant_at(item, condition.width));
      if (op.mask && (value & ~condition.mask) != 0)
        return item.error("has bits outside the mask: it could never be equal");
      condition.values.push_back(value);
      text += (text.empty() ? "" : ", ") + value_text(item);
    }
    return {};
  }

  static Status load_parameters(const Cursor& entry, Rule& rule) {
    if (!entry.has("profile")) return {};
    TRY_ASSIGN(const Cursor at, entry.member("profile"));
    std::vector<std::string_view> names;
    for (const Parameter& parameter : kParameters) names.push_back(parameter.name);
    TRY(at.only_keys(names));
    TRY_ASSIGN(const auto members, at.members());
    if (members.empty()) return at.error("is empty; leave the key out, or name a parameter");
    for (const auto& [name, value_at] : members) {
      if (name == "$schema") return value_at.error("is no parameter");
      const auto* parameter = std::ranges::find(kParameters, name, &Parameter::name);
      TRY_ASSIGN(const std::string value, value_at.text());
      if (std::ranges::find(parameter->values, value) == parameter->values.end()) {
        return value_at.unexpected(fmt::format("one of {}", fmt::join(parameter->values, ", ")));
      }
      rule.profile[name] = {value};
    }
    return {};
  }

  // A rule that names a call which an earlier rule of the same file has decided for good can never match: whoever wrote it
  // believes otherwise. Through a group, or in another file, that is how exceptions are made, and so is no error.
  Status check_reachable() const {
    std::map<std::pair<std::string, std::string>, std::pair<std::uint8_t, const Rule*>> decided;
    for (const Rule& rule : filter_.rules) {
      for (const NamedCall& call : rule.calls) {
        auto& [archs, by] = decided[{rule.file, call.name}];
        if (call.group.empty() && (archs & call.archs) == call.archs) {
          return make_error(
              "{} line {}, at '{}': {} is decided already by the rule of line {}; put the narrower rule first",
              sandboxd::quoted(rule.file), rule.line, call.path, sandboxd::quoted(call.name), by->line);
        }
        if (rule.when.empty() && rule.profile.empty()) {
          archs |= call.archs;
          by = &rule;
        }
      }
    }
    return {};
  }

  const Loader& loader_;
  Filter filter_{};
  std::map<std::string, Group> groups_{};
  std::vector<std::string> loaded_{};
};

}  // namespace

Result<Filter> load_filter(std::string_view name, const Loader& loader) {
  if (!is_name(name)) return make_error("{} is not a filter's name", sandboxd::quoted(name));
  return FilterLoader(loader).load(name);
}

}  // namespace sandboxd::filters
