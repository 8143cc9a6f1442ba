// One file, directory or link of a tar stream, the bounds of a stream, and what was wrong with one. Names are bytes: relative,
// canonical (no empty, "." or ".." part, no NUL), without a trailing '/'. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace sandboxd::archive {

enum class EntryType : std::uint8_t { kFile, kDirectory, kSymlink, kHardLink };

struct Entry {
  EntryType type = EntryType::kFile;
  std::string name{};
  std::string link{};      // kSymlink: as it is; kHardLink: the name of an entry
  std::uint32_t mode = 0;  // permission bits alone
  std::uint64_t size = 0;  // kFile
  std::int64_t mtime = 0;  // seconds since 1970
  bool operator==(const Entry&) const = default;
};

inline constexpr std::size_t kMaxName = 4095;  // bytes; PATH_MAX less its NUL
inline constexpr std::size_t kMaxPart = 255;   // NAME_MAX

struct Limits {
  std::uint64_t size = 1ULL << 30;  // bytes of all files together
  std::uint64_t entries = 100'000;  // directories that are only implied count too
  std::uint32_t depth = 64;         // parts of a name
  bool operator==(const Limits&) const = default;
};

struct Totals {
  std::uint64_t files = 0;  // all but directories
  std::uint64_t bytes = 0;
};

// Beside an Error: what it is about. `limit` is set when the stream or tree was refused, `operation` when the system failed.
struct Trouble {
  std::string limit{};      // size | entries | depth | name | type | link | duplicate | format
  std::string operation{};  // "open", "rename" ...
  std::string path{};
  std::string detail{};
  int code = 0;
};

template <class... A>
[[nodiscard]] Error refuse(Trouble& trouble, std::string_view limit, std::string_view path,
                           fmt::format_string<A...> format, A&&... args) {
  trouble = {std::string(limit), {}, std::string(path), fmt::format(format, std::forward<A>(args)...), 0};
  return make_error("{}", trouble.detail);
}
// Of a system call on `path`; `code` is its errno.
[[nodiscard]] Error failed(Trouble& trouble, std::string_view operation, std::string_view path, int code);

// A name as tar programs write it, made canonical: leading "./" and a directory's trailing '/' go. Empty for the top itself.
[[nodiscard]] std::string_view tidy_name(std::string_view name);
[[nodiscard]] bool is_good_name(std::string_view name);
[[nodiscard]] std::uint32_t depth_of(std::string_view name);
// A symlink below the top of a tree that can't lead out of it, whatever other links of this kind the tree holds: relative, with
// ".." only at its beginning, and no more of them than there are directories above it. (A ".." behind a name could follow
// another link upwards.) Of the directories above it `left_out` are only the stream's: the top is below them.
[[nodiscard]] bool stays_inside(std::string_view name, std::string_view target, std::uint32_t left_out = 0);

}  // namespace sandboxd::archive
