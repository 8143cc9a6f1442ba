// Paths checked as text. (std::filesystem::path compares by component, so "/a//b" == "/a/b": no check may use it.)
#pragma once

#include <string_view>

namespace sandboxd {

// Absolute, no empty, "." or ".." part, no NUL, no trailing '/' (but "/" itself), at most PATH_MAX - 1 bytes.
constexpr bool is_canonical_path(std::string_view path) {
  if (path.empty() || path.front() != '/' || path.size() > 4095) return false;
  if (path == "/") return true;
  if (path.back() == '/') return false;
  std::size_t start = 1;
  for (std::size_t i = 1; i <= path.size(); ++i) {
    if (i < path.size() && path[i] == '\0') return false;
    if (i != path.size() && path[i] != '/') continue;
    const std::string_view part(path.data() + start, i - start);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    start = i + 1;
  }
  return true;
}
static_assert(is_canonical_path("/") && is_canonical_path("/usr/lib"));
static_assert(!is_canonical_path("/a//b") && !is_canonical_path("/a/") && !is_canonical_path("/a/../b"));
static_assert(!is_canonical_path("a") && !is_canonical_path("") && !is_canonical_path("/a/."));

// True when `path` is `top` or lies below it; both canonical.
constexpr bool is_beneath(std::string_view path, std::string_view top) {
  if (top == "/") return true;
  if (path.size() < top.size() || std::string_view(path.data(), top.size()) != top) return false;
  return path.size() == top.size() || path[top.size()] == '/';
}
static_assert(is_beneath("/usr/lib", "/usr") && is_beneath("/usr", "/usr") && !is_beneath("/usrlocal", "/usr"));

}  // namespace sandboxd
