#include "daemon/tools/doctor/host_files.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "base/text.h"

namespace sandboxd::doctor {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t k) {
      return i + k < text.size() && text[i + k] >= '0' && text[i + k] <= '7' ? text[i + k] - '0' : -1;
    };
    if (text[i] != '\\' || digit(1) < 0 || digit(2) < 0 || digit(3) < 0) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(digit(1) * 64 + digit(2) * 8 + digit(3));
    i += 3;
  }
  return out;
}

}  // namespace

std::optional<std::string> find_cgroup2(std::string_view mountinfo) {
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::vector<std::string_view> fields = split(line, ' ');
    // Optional fields end with a lone "-"; the type follows.
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 7 || fields.end() - dash < 2 || *(dash + 1) != "cgroup2") continue;
    return unescape(fields[4]);
  }
  return std::nullopt;
}

std::string missing_words(std::string_view text, std::span<const std::string_view> wanted) {
  std::string list(text);
  std::ranges::replace(list, '\n', ' ');
  const std::vector<std::string_view> words = split(list, ' ');
  std::string lacking;
  for (const std::string_view word : wanted) {
    if (std::ranges::find(words, word) == words.end())
      lacking += fmt::format("{}{}", lacking.empty() ? "" : ", ", word);
  }
  return lacking;
}

std::optional<std::string> account_in(std::string_view text, std::uint32_t first, std::uint32_t last) {
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> fields = split(line, ':');
    const auto id = fields.size() > 2 ? parse_uint(fields[2], UINT32_MAX) : std::nullopt;
    if (id && *id >= first && *id <= last) return fmt::format("{} ({})", fields[0], *id);
  }
  return std::nullopt;
}

std::optional<std::string> range_in(std::string_view text, std::uint32_t first, std::uint32_t last) {
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> fields = split(line, ':');
    const auto start = fields.size() > 2 ? parse_uint(fields[1], UINT32_MAX) : std::nullopt;
    const auto count = fields.size() > 2 ? parse_uint(fields[2], UINT32_MAX) : std::nullopt;
    if (!start || !count || *count == 0) continue;
    if (*start <= last && *start + *count > first) return fmt::format("{} ({}, {})", fields[0], *start, *count);
  }
  return std::nullopt;
}

}  // namespace sandboxd::doctor
