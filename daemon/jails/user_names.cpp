#include "daemon/jails/user_names.h"

#include <algorithm>

#include "base/text.h"

namespace sandboxd::jails {

std::map<uid_t, std::string> parse_passwd(std::string_view text) {
  std::map<uid_t, std::string> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t name_end = line.find(':');
    const std::size_t id_start = name_end == std::string_view::npos ? name_end : line.find(':', name_end + 1);
    if (id_start == std::string_view::npos) continue;
    const std::size_t id_end = std::min(line.find(':', id_start + 1), line.size());
    const auto id = parse_uint(line.substr(id_start + 1, id_end - id_start - 1), UINT32_MAX - 1);
    if (id && name_end > 0) names.emplace(static_cast<uid_t>(*id), line.substr(0, name_end));  // the first line wins
  }
  return names;
}

}  // namespace sandboxd::jails
