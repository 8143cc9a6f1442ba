// What this kernel and host offer for jails, looked for by trying and never by comparing versions: for org.sandboxd.Host.
// Before the daemon locks itself in: afterwards it could not look.
#pragma once

#include <string>

namespace sandboxd::main {

// A JSON object: {"kernel": ..., "machine": ..., "features": [{"name", "have", "without"}]}.
[[nodiscard]] std::string probe_features();

}  // namespace sandboxd::main
