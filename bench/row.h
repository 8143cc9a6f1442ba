// A row of the table: one way to run one program, and what it cost. Times are microseconds of CLOCK_MONOTONIC.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sandboxd::bench {

struct Row {
  std::string name{};
  bool ours = false;
  std::function<bool()> once{};   // timed
  std::function<bool()> check{};  // not timed, after each `once`; empty: nothing to ask
  std::vector<std::uint64_t> samples{};

  // `part` from 0 (the least) to 1; 0 without samples.
  [[nodiscard]] std::uint64_t at(double part) const;
};

// Whether it ended with status 0. Programs are looked up in PATH.
bool spawn_and_wait(const std::vector<std::string>& argv);

}  // namespace sandboxd::bench
