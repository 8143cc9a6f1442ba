#include "sandboxd-client/ctl/cp_place.h"

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/path.h"
#include "base/text.h"

namespace sandboxd::ctl {
namespace {

struct Free {
  void operator()(char* text) const noexcept { std::free(text); }
};

// Takes what a shell's completion and "dir/." leave at the end.
void take_end(CopyPlace& place) {
  std::string& path = place.path;
  while (path.size() > 1 && (path.ends_with('/') || path.ends_with("/."))) {
    place.contents = place.contents || path.ends_with("/.");
    place.directory = true;
    path.pop_back();
  }
  if (path == ".") place.contents = place.directory = true;
}

}  // namespace

Result<CopyPlace> copy_place_from_text(std::string_view text) {
  CopyPlace place;
  if (text == "-") {
    place.stream = true;
    return place;
  }
  const std::size_t colon = text.find(':');
  const std::size_t slash = text.find('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon < slash)) {
    place.jail = text.substr(0, colon);
    place.path = text.substr(colon + 1);
    take_end(place);
    if (place.jail->empty() || !is_canonical_path(place.path))
      return make_error("{}: must be JAIL:/path, the path absolute and without '..'", quoted(text));
    return place;
  }
  place.path = text;
  if (place.path.empty()) return make_error("a path is empty");
  take_end(place);
  return place;
}

SplitPath split_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {".", std::string(path)};
  if (slash == 0) return {"/", std::string(path.substr(1))};
  return {std::string(path.substr(0, slash)), std::string(path.substr(slash + 1))};
}

Result<std::string> local_name(const std::string& path) {
  const std::string name = split_path(path).name;
  if (!name.empty() && name != "." && name != "..") return name;
  const std::unique_ptr<char, Free> real(::realpath(path.c_str(), nullptr));
  if (!real) return sys_error("look at {}", quoted(path));
  std::string last = split_path(real.get()).name;
  return last.empty() ? "root" : last;
}

}  // namespace sandboxd::ctl
