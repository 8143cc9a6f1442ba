// A filter file as a value: which system calls a jail may make, each rule with its reason.
//
// Rules are tried in the file's order, and the first that matches a call decides it; `{"include": "NAME"}` stands for the
// rules of another file at that place. A call that no rule names gets the filter's default. A rule may depend on arguments
// (`when`, all conditions must hold) and on what the profile says (`profile`), which is settled when it is compiled.
// Pure: files come through a Loader, names of system calls are checked by compiler/.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sandboxd::filters {

enum class Arch : std::uint8_t { kX86_64 = 0, kAarch64 = 1 };
inline constexpr std::array kArchs = {Arch::kX86_64, Arch::kAarch64};
inline constexpr std::uint8_t kAllArchs = 3;
constexpr std::uint8_t arch_bit(Arch arch) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(arch)); }
[[nodiscard]] std::string_view to_text(Arch arch);
[[nodiscard]] Result<Arch> arch_from_text(std::string_view text);
[[nodiscard]] Arch host_arch();

// What the kernel does with the call. kErrno: it fails with `error` and does nothing.
struct Action {
  enum class Kind : std::uint8_t { kAllow, kErrno, kKillProcess };
  Kind kind = Kind::kErrno;
  std::uint16_t error = 0;

  bool operator==(const Action&) const = default;
};
[[nodiscard]] std::string to_text(const Action& action);  // "allow", "errno EPERM", "kill_process"

enum class Op : std::uint8_t {
  kEqual,     // one of `values`
  kNotEqual,  // none of `values`
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kMaskedEqual,  // (arg & mask) is one of `values`
  kMaskedNotEqual,
  kAnyBit,  // (arg & mask) != 0
  kNoBit,   // (arg & mask) == 0
};

// `width` is what the kernel itself looks at: 32 for int, unsigned, mode_t, where the upper half of the register is the
// caller's to choose (CVE-2019-10063: TIOCSTI with high bits passed a 64-bit comparison); 64 for long and pointers.
struct Condition {
  std::uint8_t arg = 0;
  std::uint8_t width = 32;
  Op op = Op::kEqual;
  std::uint64_t mask = 0;
  std::vector<std::uint64_t> values{};
  std::string text{};  // as the file has it, for people

  [[nodiscard]] bool holds(std::uint64_t value) const;
  [[nodiscard]] bool same_test(const Condition& other) const;
};

// A system call that a rule is about, on which architectures, and through which group ("" when named itself).
struct NamedCall {
  std::string name{};
  std::uint8_t archs = kAllArchs;
  std::string group{};
  std::string path{};  // where it is named, for messages
  int line = 0;
};

struct Rule {
  std::string file{};
  int line = 0;
  std::string path{};  // "rules[3]"
  std::vector<NamedCall> calls{};
  std::vector<Condition> when{};
  std::map<std::string, std::vector<std::string>> profile{};  // parameter -> values for which the rule exists
  Action action{};
  std::string why{};
};

// A group's calls, kept so that its names are checked even where no rule uses it.
struct GroupCalls {
  std::string file{};
  std::vector<NamedCall> calls{};
};

// What a profile settles. Today: unix_sockets = none | any.
using Parameters = std::map<std::string, std::string>;

struct Filter {
  std::string name{};
  std::string description{};
  std::string file{};
  Action default_action{};  // a call that no rule names
  Action foreign_action{};  // a call of another ABI: x32, i386, 32-bit ARM
  std::string default_why{};
  std::string foreign_why{};
  std::vector<Rule> rules{};
  std::vector<GroupCalls> groups{};
  std::vector<std::string> files{};  // every file it is made of
};

struct SourceText {
  std::string file{};  // for messages
  std::string text{};
};
// The text of the filter file of that name (without ".json").
using Loader = std::function<Result<SourceText>(std::string_view name)>;

Result<Filter> load_filter(std::string_view name, const Loader& loader);
// True when the rule exists under these parameters.
[[nodiscard]] bool applies(const Rule& rule, const Parameters& parameters);

// A name of a filter, a profile or a group's tail: letters, digits, '-', '_', at most 64, a letter first.
[[nodiscard]] bool is_name(std::string_view text);

}  // namespace sandboxd::filters
