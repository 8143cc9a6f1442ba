#include "base/user_names.h"

#include <algorithm>

#include "base/text.h"

namespace sandboxd {
namespace {

struct Entry {
  std::string_view name;
  std::uint32_t id;
};

// "name:password:id" and more, to the line's end; both files begin like this.
std::optional<Entry> next_entry(std::string_view& text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t name_end = line.find(':');
    const std::size_t id_start = name_end == std::string_view::npos ? name_end : line.find(':', name_end + 1);
    if (id_start == std::string_view::npos || name_end == 0) continue;
    const std::size_t id_end = std::min(line.find(':', id_start + 1), line.size());
    const auto id = parse_uint(line.substr(id_start + 1, id_end - id_start - 1), UINT32_MAX - 1);
    if (id) return Entry{line.substr(0, name_end), static_cast<std::uint32_t>(*id)};
  }
  return {};
}

}  // namespace

std::map<uid_t, std::string> parse_passwd(std::string_view text) {
  std::map<uid_t, std::string> names;
  while (const auto entry = next_entry(text)) names.emplace(entry->id, entry->name);  // the first line wins
  return names;
}

std::optional<std::uint32_t> id_of_name(std::string_view text, std::string_view name) {
  while (const auto entry = next_entry(text)) {
    if (entry->name == name) return entry->id;
  }
  return {};
}

}  // namespace sandboxd
