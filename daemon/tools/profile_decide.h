// What the filters of several profiles say to one call with its arguments, and what one profile refuses that another allows.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "seccomp-profiles/compiler/bind.h"
#include "seccomp-profiles/compiler/samples.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::tools {

struct Judge {
  filters::Profile profile{};
  filters::BoundFilter bound{};  // its filter must outlive this
};

struct Call {
  std::string name{};
  std::uint32_t number = 0;
  filters::Args args{};
};
// "socket 16 0x3 9": a name of syscalls(2) and up to six numbers; arguments that are left out are 0.
Result<Call> parse_call(filters::Arch arch, std::string_view line);

// One JSON object: the action, the rule that decides and its reason, and which of `others` allow the same call.
[[nodiscard]] std::string decision_json(const Judge& judge, const std::vector<Judge>& others, const Call& call);

// A Markdown table: each rule of `base` that refuses something which one of `others` allows, and what these profiles may have
// besides. Rules that all of them hold are not in it.
[[nodiscard]] std::string allowances_table(const Judge& base, const std::vector<Judge>& others);

}  // namespace sandboxd::tools
