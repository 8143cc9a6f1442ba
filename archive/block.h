// A header block of a tar stream (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar's variant of it). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::archive {

inline constexpr std::size_t kBlock = 512;
using Block = std::array<char, kBlock>;

struct BlockFields {
  std::string name{};  // with the prefix
  std::string link{};
  std::uint64_t mode = 0, size = 0;
  std::int64_t mtime = 0;
  char type = '0';
};

[[nodiscard]] bool is_zero(const Block& block);
// Nothing when the checksum, the magic or a number is wrong.
[[nodiscard]] std::optional<BlockFields> parse_block(const Block& block);

// Nothing when it does not fit: then a pax header has to say it. `name` with a directory's '/'.
[[nodiscard]] std::optional<Block> make_block(const BlockFields& fields);

}  // namespace sandboxd::archive
