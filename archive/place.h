// Moves what was staged to its place: all of it or, when one move fails, nothing. A directory that is there already is merged
// with; a file or link that is there is replaced; a directory never becomes a file, nor a file a directory (EISDIR, ENOTDIR).
// `staged` and `place` are directories of one file system. What was replaced is in `staged` afterwards.
#pragma once

#include "archive/entry.h"

namespace sandboxd::archive {

Status put_in_place(int staged, int place, Trouble& trouble);

}  // namespace sandboxd::archive
