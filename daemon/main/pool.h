// A share of the id pool, held by an OFD lock (fcntl(2)) on a byte range of one host-wide file: byte n is id kPoolFirst + n.
// Several daemons hold a share each; the kernel frees it when its holder is gone. Also: is the pool free of other users?
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::main {

inline constexpr const char* kPoolLock = "/run/sandboxd-pool.lock";

struct Slice {
  UniqueFd lock{};
  std::uint32_t first = 0;
  std::uint32_t count = 0;  // ids
};

// The first free share of kIdsPerSlice. ENOSPC when every one is taken.
Result<Slice> lock_free_slice(const std::string& path = kPoolLock);
// Exactly these ids; EAGAIN when another daemon holds one of them.
Result<Slice> lock_slice(std::uint32_t first, std::uint32_t count, const std::string& path = kPoolLock);

// EEXIST names the line of `text` that uses an id between `first` and `last`. passwd(5) and group(5): the ids in these fields,
// counted from 0; subuid(5): field 1 with the count in field 2.
Status check_accounts(std::string_view text, std::string_view file, std::initializer_list<std::size_t> fields,
                      std::uint32_t first, std::uint32_t last);
Status check_ranges(std::string_view text, std::string_view file, std::uint32_t first, std::uint32_t last);
// /etc/passwd, group, subuid and subgid of this host; a file that is not there has no ids.
Status check_pool_is_ours(const Slice& slice);

}  // namespace sandboxd::main
