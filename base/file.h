// Whole small files and sealed memfds.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd {

// EFBIG past `most`. Works on procfs and cgroupfs (sizes of 0).
Result<std::string> read_file(int dir_fd, const std::string& path, std::size_t most = 1 << 20);
Result<std::string> read_fd(int fd, std::size_t most = 1 << 20);  // from the current offset to the end
Status write_all(int fd, std::string_view bytes);
// One write(2) of the whole text: what procfs and cgroupfs want.
Status write_file_at(int dir_fd, const std::string& path, std::string_view text);

// A memfd with F_SEAL_{SHRINK,GROW,WRITE,SEAL}: whoever holds it reads what its maker wrote (memfd_create(2)).
Result<UniqueFd> sealed_memfd(const char* name, std::span<const std::uint8_t> bytes);
// Refuses what is not a memfd with all four seals, or is larger than `most`: else its owner could change it after the check.
Result<std::vector<std::uint8_t>> read_sealed(int fd, std::size_t most);
// A path whose last part is a regular file or directory that only root could have changed: owned by root, not writable
// by group or others. Checks the opened descriptor, not the name.
Status check_root_owned(int fd, std::string_view what);

}  // namespace sandboxd
