// sandboxd-audit-verify DIR: is the audit log in DIR whole? One line on stdout. Exit status: 0 good, 1 something was changed,
// moved or taken away, 2 it ends in an unfinished commit or can't be read, 3 wrong usage. Reads only; needs no program to run.
#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/core.h>

#include "base/text.h"
#include "daemon/audit/verify.h"

namespace {

using sandboxd::audit::Verdict;
using sandboxd::audit::Verification;

int show(const Verification& result) {
  if (result.verdict == Verdict::kGood) {
    fmt::print("good: {} records in {} segments, from record {}, last leaf {}\n", result.end.records - result.first,
               result.segments, result.first, sandboxd::hex(result.end.last_leaf));
    return 0;
  }
  const bool bad = result.verdict == Verdict::kBad;
  fmt::print("{}: record {} at byte {} of segment {}: {}; {} records before it are good\n", bad ? "bad" : "unfinished",
             result.bad_index, result.bad_offset, sandboxd::quoted(result.segment), result.problem,
             result.end.records - std::min(result.first, result.end.records));
  return bad ? 1 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || std::string_view(argv[1]).starts_with("-")) {
    fmt::print(stderr, "usage: sandboxd-audit-verify DIR\n");
    return 3;
  }
  const sandboxd::Result<Verification> result = sandboxd::audit::verify(argv[1]);
  if (result.ok()) return show(*result);
  fmt::print(stderr, "sandboxd-audit-verify: {}\n", result.error().message());
  return 2;
}
