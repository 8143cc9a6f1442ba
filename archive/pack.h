// A file or a directory with all below it as a tar stream. No symlink below it is followed; names come in sorted order. What is
// neither file, directory nor symlink is refused (type), and so is what exceeds the limits; a file that becomes shorter while it is
// read is an error. On an error the stream has no end: nobody takes it for a whole one.
#pragma once

#include <string>

#include "archive/entry.h"
#include "archive/stream.h"

namespace sandboxd::archive {

// `name` in `parent`, as `as`; a symlink there is followed when `follow`. An empty `as`: what is in the directory, without itself.
Status pack(int parent, const std::string& name, const std::string& as, bool follow, Sink& sink, const Limits& limits,
            Totals& totals, Trouble& trouble);

}  // namespace sandboxd::archive
