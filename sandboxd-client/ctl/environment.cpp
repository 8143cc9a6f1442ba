#include "sandboxd-client/ctl/environment.h"

#include <algorithm>
#include <array>

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"

namespace sandboxd::ctl {
namespace {

constexpr std::array<std::string_view, 4> kKept = {"PATH", "HOME", "TERM", "LANG"};
constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

std::optional<std::string> lookup(const char* const* own, std::string_view name) {
  for (; own != nullptr && *own != nullptr; ++own) {
    const std::string_view entry(*own);
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

void set(Environment& environment, std::string_view name, std::string value) {
  const auto found = std::ranges::find(environment, name, &Environment::value_type::first);
  if (found != environment.end()) {
    found->second = std::move(value);
  } else {
    environment.emplace_back(name, std::move(value));
  }
}

Status apply(Environment& environment, std::string_view setting, const char* const* own) {
  const std::size_t equals = setting.find('=');
  const std::string_view name = setting.substr(0, equals);
  if (name.empty()) return make_error("{} has no name before the '='", sandboxd::quoted(setting));
  if (setting.find('\0') != std::string_view::npos) return make_error("{} holds a NUL byte", sandboxd::quoted(setting));
  if (equals != std::string_view::npos) {
    set(environment, name, std::string(setting.substr(equals + 1)));
  } else if (std::optional<std::string> value = lookup(own, name)) {
    set(environment, name, std::move(*value));
  }
  return {};
}

Status apply_file(Environment& environment, const std::string& path, const char* const* own) {
  TRY_ASSIGN(const std::string text, read_file(AT_FDCWD, path));
  std::size_t number = 1;
  for (std::size_t start = 0; start < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    TRY(apply(environment, line, own).context("line {}", number));
  }
  return {};
}

Status apply_all(Environment& environment, const std::vector<std::string>& files,
                 const std::vector<std::string>& settings, const char* const* own) {
  for (const std::string& path : files)
    TRY(apply_file(environment, path, own).context("--env-file {}", sandboxd::quoted(path)));
  for (const std::string& setting : settings) TRY(apply(environment, setting, own).context("--env"));
  return {};
}

}  // namespace

Result<Environment> make_environment(const std::vector<std::string>& files, const std::vector<std::string>& settings,
                                     const char* const* own) {
  Environment environment;
  for (const std::string_view name : kKept) {
    if (std::optional<std::string> value = lookup(own, name)) set(environment, name, std::move(*value));
  }
  // Without one the job could find no command; execvp(3)'s own default also holds the current directory on some systems.
  if (!lookup(own, "PATH")) set(environment, "PATH", std::string(kDefaultPath));
  TRY(apply_all(environment, files, settings, own));
  return environment;
}

Result<Environment> make_additions(const std::vector<std::string>& files, const std::vector<std::string>& settings,
                                   const char* const* own, bool terminal) {
  Environment environment;
  if (terminal) TRY(apply(environment, "TERM", own));
  TRY(apply_all(environment, files, settings, own));
  return environment;
}

}  // namespace sandboxd::ctl
