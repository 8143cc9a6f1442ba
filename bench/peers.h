// The programs that sandboxd is compared with, each as near to a jail of ours as its options take it, with a workspace: only
// those that are installed. Nothing here is measured; what is not there is said on standard error.
#pragma once

#include <string>
#include <vector>

#include "bench/row.h"

namespace sandboxd::bench {

inline constexpr const char* kBaseline = "bwrap, workspace";

// `scratch`: an empty directory of the caller's, for runc's bundle and its state.
std::vector<Row> peer_rows(const std::string& workspace, const std::string& scratch);

}  // namespace sandboxd::bench
