#include "sandboxd-client/ctl/render.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/core.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "protocol/codec.h"

namespace sandboxd::ctl {
namespace {

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kReset = "\x1b[0m";

struct StateColour {
  std::string_view word, colour;
};
constexpr std::array kStateColours = {
    StateColour{"running", "\x1b[32m"}, StateColour{"starting", "\x1b[33m"},     StateColour{"ending", "\x1b[33m"},
    StateColour{"stuck", "\x1b[31m"},   StateColour{"setup_failed", "\x1b[31m"}, StateColour{"oom", "\x1b[31m"},
    StateColour{"seccomp", "\x1b[31m"},
};

std::string_view colour_of(std::string_view word) {
  const auto row = std::ranges::find(kStateColours, word, &StateColour::word);
  return row == kStateColours.end() ? std::string_view() : row->colour;
}

// Code points, not bytes.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string painted(const std::string& text, std::string_view colour, const Style& style) {
  return style.colour && !colour.empty() ? fmt::format("{}{}{}", colour, text, kReset) : text;
}

std::vector<std::size_t> widths_of(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  return widths;
}

std::vector<std::string> escaped_row(const std::vector<std::string>& row) {
  std::vector<std::string> cells;
  for (const std::string& cell : row) cells.push_back(escaped(cell));
  return cells;
}

void append_row(std::string& out, const std::vector<std::string>& row, const std::vector<std::size_t>& widths,
                const Style& style, bool header) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out += style.terminal ? "  " : "\t";
    out += painted(row[i], header ? kBold : colour_of(row[i]), style);
    if (style.terminal && i + 1 < row.size()) out.append(widths[i] - width_of(row[i]), ' ');
  }
  out += '\n';
}

// The item's own name says more than its index.
std::string item_name(const Json& item, std::size_t index) {
  const Json name = item.is_object() ? item.value("name", Json()) : Json();
  return name.is_string() ? name.get<std::string>() : fmt::format("{}", index);
}

void flatten_into(Fields& fields, const std::string& prefix, const Json& value, bool is_item = false) {
  if (value.is_object()) {
    for (auto member = value.begin(); member != value.end(); ++member) {
      if (is_item && member.key() == "name" && member.value().is_string()) continue;
      flatten_into(fields, prefix.empty() ? member.key() : prefix + "." + member.key(), member.value());
    }
    return;
  }
  const bool plain = std::ranges::none_of(value, [](const Json& item) { return item.is_structured(); });
  if (value.is_array() && !plain) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      flatten_into(fields, fmt::format("{}.{}", prefix, item_name(value[i], i)), value[i], /*is_item=*/true);
    }
    return;
  }
  std::string text;
  if (value.is_array()) {
    for (const Json& item : value) {
      text += (text.empty() ? "" : " ") + (item.is_string() ? item.get<std::string>() : protocol::to_text(item));
    }
  } else {
    text = value.is_string() ? value.get<std::string>() : protocol::to_text(value);
  }
  fields.emplace_back(prefix, std::move(text));
}

}  // namespace

Style make_style(bool terminal, const char* no_color, const char* term) {
  const bool wants_none = no_color != nullptr && *no_color != '\0';
  const bool dumb = term == nullptr || *term == '\0' || std::string_view(term) == "dumb";
  return {terminal, terminal && !wants_none && !dumb};
}

Style output_style() { return make_style(::isatty(STDOUT_FILENO) == 1, std::getenv("NO_COLOR"), std::getenv("TERM")); }

std::string render(const Table& table, const Style& style) {
  std::vector<std::vector<std::string>> rows;
  if (style.terminal) rows.push_back(table.header);
  for (const auto& row : table.rows) rows.push_back(escaped_row(row));
  const std::vector<std::size_t> widths = widths_of(rows);
  std::string out;
  for (std::size_t i = 0; i < rows.size(); ++i) append_row(out, rows[i], widths, style, style.terminal && i == 0);
  return out;
}

std::string render(const Fields& fields, const Style& style) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : fields) rows.push_back({escaped(name), escaped(value)});
  const std::vector<std::size_t> widths = widths_of(rows);
  std::string out;
  for (const auto& row : rows) append_row(out, row, widths, style, false);
  return out;
}

Fields flatten(const Json& object) {
  Fields fields;
  flatten_into(fields, "", object);
  return fields;
}

std::string time_text(std::uint64_t usec) {
  constexpr std::uint64_t kSecond = 1'000'000;
  if (usec < kSecond) return fmt::format("{}ms", usec / 1000);
  if (usec < 60 * kSecond) return fmt::format("{}.{}s", usec / kSecond, usec % kSecond / 100'000);
  if (usec < 3600 * kSecond) return fmt::format("{}min", usec / (60 * kSecond));
  if (usec < 48 * 3600 * kSecond) return fmt::format("{}h", usec / (3600 * kSecond));
  return fmt::format("{}d", usec / (24 * 3600 * kSecond));
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits = "KMGTPE";
  if (bytes < 1024) return fmt::format("{}", bytes);
  std::uint64_t unit = 1024;
  std::size_t i = 0;
  while (bytes / unit >= 1024 && i + 1 < kUnits.size()) {
    unit *= 1024;
    ++i;
  }
  return fmt::format("{}.{}{}", bytes / unit, bytes % unit / (unit / 10 + 1), kUnits[i]);
}

std::string command_text(const std::vector<std::string>& argv) {
  std::string text;
  for (const std::string& word : argv) {
    if (!text.empty()) text += ' ';
    const bool plain = !word.empty() && word.find_first_of(" \t\n'\"\\$&|;<>()*?[]#~`!{}") == std::string::npos;
    text += plain ? word : sandboxd::quoted(word);
  }
  return text;
}

int print(const Invocation& invocation, std::string_view text) {
  const Status status = write_all(STDOUT_FILENO, text);
  return status.ok() ? 0 : fail(invocation, status.error());
}

// ASCII only: what a terminal would obey can't be in it.
std::string json_line(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

int print_value(const Invocation& invocation, const Json& value) {
  if (invocation.globals.json) return print(invocation, json_line(value));
  return print(invocation, value.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n");
}

}  // namespace sandboxd::ctl
