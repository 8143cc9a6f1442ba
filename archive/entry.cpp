#include "archive/entry.h"

#include <algorithm>

#include "base/text.h"

namespace sandboxd::archive {

Error failed(Trouble& trouble, std::string_view operation, std::string_view path, int code) {
  trouble = {{}, std::string(operation), std::string(path), {}, code};
  return sys_error_code(code, "{} {}", operation, quoted(path));
}

std::string_view tidy_name(std::string_view name) {
  while (name.starts_with("./")) name.remove_prefix(2);
  if (name == ".") return {};
  if (name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
  return name;
}

bool is_good_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || name.find('\0') != std::string_view::npos) return false;
  while (true) {
    const std::size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

std::uint32_t depth_of(std::string_view name) {
  return static_cast<std::uint32_t>(1 + std::count(name.begin(), name.end(), '/'));
}

bool stays_inside(std::string_view name, std::string_view target, std::uint32_t left_out) {
  if (target.empty() || target.front() == '/' || target.size() > kMaxName) return false;
  if (target.find('\0') != std::string_view::npos) return false;
  std::uint32_t above = depth_of(name) - 1;
  above -= std::min(above, left_out);
  bool went_down = false;
  while (true) {
    const std::size_t slash = target.find('/');
    const std::string_view part = target.substr(0, slash);
    if (part == "..") {
      if (went_down || above == 0) return false;
      --above;
    } else if (!part.empty() && part != ".") {
      went_down = true;
    }
    if (slash == std::string_view::npos) return true;
    target.remove_prefix(slash + 1);
  }
}

}  // namespace sandboxd::archive
