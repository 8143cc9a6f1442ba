// sandboxd's rows: sandboxctl as a program, and the method Run as any varlink client would call it over one connection. After each
// run, outside of the time that is measured, the jail is asked for by Inspect: a filter, Landlock and namespaces of its own must have
// been in force in it, else the run does not count and the measurement fails.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/row.h"

namespace sandboxd::bench {

class Ours {
 public:
  // `ctl`: the program sandboxctl.
  static Result<std::unique_ptr<Ours>> open(const std::string& socket, const std::string& workspace, std::string ctl);
  virtual ~Ours() = default;
  virtual std::vector<Row> rows() = 0;
};

inline constexpr const char* kGoalRow = "Run, one connection, workspace";

}  // namespace sandboxd::bench
