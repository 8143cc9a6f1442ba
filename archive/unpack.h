// Unpacks a tar stream into a directory, all or nothing: entries are made in a hidden directory in it, and moved to their places
// when the stream has come to its good end. Nothing that the stream says is made outside: each step to an entry is a directory that
// was made here, never a link. Owners are the caller's, permission bits lose the umask, and all of setuid, setgid and sticky; a
// directory is always its owner's to use. An entry that comes twice is refused.
#pragma once

#include <optional>
#include <string>

#include "archive/entry.h"
#include "archive/stream.h"

namespace sandboxd::archive {

struct UnpackOptions {
  Limits limits{};
  // The stream must have one thing at its top: it gets this name.
  std::optional<std::string> as{};
  // The same, but it must be a directory, and what is in it goes to the place itself.
  bool contents = false;
  std::uint32_t umask = 022;
};

Status unpack(Source& source, int place, const UnpackOptions& options, Totals& totals, Trouble& trouble);

}  // namespace sandboxd::archive
