// sandboxd-jail-files as sandboxd hands it to jails: a sealed memfd, made once, before sandboxd gives up the files of its host. A
// jail gets it for each call of org.sandboxd.Files, and can neither change it nor find the host's own file by it.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::main {

Result<UniqueFd> load_jail_files();

}  // namespace sandboxd::main
