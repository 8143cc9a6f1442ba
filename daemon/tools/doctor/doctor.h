// What this kernel and host offer for jails. Each row of the table is a real try, never a comparison of versions; what can
// only be tried as root says so for anybody else. The tries leave nothing behind: they run in short-lived children, and a
// test cgroup is removed again. No row changes a setting of the host.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::doctor {

enum class State : std::uint8_t { kOffered, kMissing, kUnknown };
// kRequired: without it the default profile can't be enforced. kOptional: without it something is refused. kInfo: a setting
// that is good to know, never missing.
enum class Need : std::uint8_t { kRequired, kOptional, kInfo };

struct Outcome {
  State state = State::kUnknown;
  std::string detail{};
};

struct Context {
  bool is_root = false;
  std::string state_dir{};
  std::string cgroup_root{};              // the configuration's; empty: found
  std::vector<std::string> unenforced{};  // the configuration's unenforced_limits
};

struct Probe {
  std::string_view id, what;
  Need need;
  std::string_view turns_off;  // what is refused without it
  Outcome (*run)(const Context& context);
};

// One for each file of probes.
extern const std::span<const Probe> kKernelProbes;
extern const std::span<const Probe> kMountProbes;
extern const std::span<const Probe> kCgroupProbes;
extern const std::span<const Probe> kLimitProbes;
extern const std::span<const Probe> kHostProbes;

struct Finding {
  const Probe* probe = nullptr;
  Outcome outcome{};
};

[[nodiscard]] std::vector<Finding> examine(const Context& context);

// The limits that jails can't have here, as a JSON list: what the configuration's unenforced_limits would be.
[[nodiscard]] std::string unenforceable_limits(const Context& context);

// 0: the defaults can be enforced. 1: they can't. 2: nothing required is missing, but not all of it could be tried.
[[nodiscard]] int verdict(const std::vector<Finding>& findings);
[[nodiscard]] std::string to_text(const std::vector<Finding>& findings, bool terminal, bool colour);
[[nodiscard]] std::string to_json(const std::vector<Finding>& findings);

// Shorthands for the probes.
[[nodiscard]] inline Outcome offered(std::string detail = {}) { return {State::kOffered, std::move(detail)}; }
[[nodiscard]] inline Outcome missing(std::string detail) { return {State::kMissing, std::move(detail)}; }
[[nodiscard]] inline Outcome unknown(std::string detail) { return {State::kUnknown, std::move(detail)}; }

}  // namespace sandboxd::doctor
