// The `limits` object of profiles and presets: every row of base/limits.h by its name, and presets themselves
// (cgroups/presets/NAME.json). What an object leaves out stays as it was.
// Pure: what the host has comes as a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/json_tree.h"

namespace sandboxd::filters {

struct Host {
  std::uint64_t memory = 0;  // bytes
  std::uint64_t nofile = 0;  // the most descriptors that a process started from here can have; 0: not known
};

// Caps: a jail without a bound on processes, descriptors or scratch there is none.
Status read_caps(const Cursor& at, Limits& limits);
// Of a preset: a list means the least of it, "half" is of the host's memory.
Status read_values(const Cursor& at, const Host& host, Limits& limits);

struct Preset {
  std::string name{};
  std::string description{};
  std::string file{};
  Limits limits{};
  bool operator==(const Preset&) const = default;
};

// What "default" starts from: nothing is limited but what it must say (nofile, pids_max), and the weight is the kernel's.
[[nodiscard]] Limits before_default();
// `base`: what it leaves out is.
Result<Preset> load_preset(std::string_view name, const SourceText& source, const Limits& base, const Host& host);
// A file of presets rather than of profiles: limits, and nothing that a profile has besides.
[[nodiscard]] bool looks_like_preset(const Cursor& file);

}  // namespace sandboxd::filters
