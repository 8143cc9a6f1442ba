// What sandboxd-jail-files does, in a jail, with a job's rights: it decides nothing about them. Paths are absolute. Steps on the way
// to the last part follow symlinks, as every program of the jail does; what each does with the last part is said here. Nothing waits
// for a FIFO, and nothing that is no regular file is read or written.
#pragma once

#include <csignal>
#include <span>
#include <string>
#include <string_view>

#include "archive/entry.h"
#include "daemon/files/answer.h"

namespace sandboxd::files {

// Where answers go, and the streams of archive and extract.
struct Ends {
  int input = 0;
  int output = 1;
  int error = 2;
};

// argv[1...]: an operation and its arguments, as the lists below show them. Answers by records: archive's go to `error`, all
// others' to `output`. The exit status.
//   read PATH OFFSET LENGTH             follows a symlink
//   write PATH LENGTH MODE FLAGS        replaces a symlink; FLAGS: - a (append, follows) x (exclusive); MODE in octal
//   list PATH                           follows
//   stat PATH FOLLOW                    FOLLOW: 0 1
//   remove PATH RECURSIVE               RECURSIVE: 0 1
//   archive PATH                        follows; a tar stream goes to `output`
//   extract PATH SIZE ENTRIES DEPTH     follows; a tar stream comes from `input`
int run_operation(std::span<const std::string_view> words, const Ends& ends);

}  // namespace sandboxd::files
