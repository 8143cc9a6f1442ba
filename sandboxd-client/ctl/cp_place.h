// The two places that `cp` takes: "JAIL:/path", a path of the caller's, or "-" for a tar stream. Pure, but for local_name(), which
// looks where "..", "." and links lead.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sandboxd::ctl {

struct CopyPlace {
  std::optional<std::string> jail{};
  bool stream = false;     // "-"
  std::string path{};      // without a trailing '/' or "/."; in a jail canonical
  bool contents = false;   // it ended with "/.": what is in it, not itself
  bool directory = false;  // it ended with '/': it must be a directory
  bool operator==(const CopyPlace&) const = default;
};

// A ':' before any '/' parts a jail from its path, as with docker-cp(1); "./a:b" is a file. Errors say what is wrong with the text.
Result<CopyPlace> copy_place_from_text(std::string_view text);

// The directory that holds `path`, and its last part: "/a/b": "/a", "b"; "b": ".", "b".
struct SplitPath {
  std::string parent{}, name{};
  bool operator==(const SplitPath&) const = default;
};
[[nodiscard]] SplitPath split_path(std::string_view path);
// What a copy of this file or directory is called: the last part of its path, or, where that names none, of where it leads.
Result<std::string> local_name(const std::string& path);

}  // namespace sandboxd::ctl
