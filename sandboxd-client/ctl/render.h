// How answers are shown. On a terminal: tables, colours (not with NO_COLOR, no-color.org, or TERM=dumb). Elsewhere: one line
// a row, its cells parted by tabs, no header. With --json: the value itself. Text that came from outside is escaped for
// terminals in all but the last. The functions but print() are pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "protocol/job.h"
#include "protocol/json.h"
#include "sandboxd-client/ctl/command.h"

namespace sandboxd::ctl {

using protocol::Json;

struct Style {
  bool terminal = false;
  bool colour = false;
};
[[nodiscard]] Style make_style(bool terminal, const char* no_color, const char* term);
[[nodiscard]] Style output_style();  // of standard output

struct Table {
  std::vector<std::string> header{};
  std::vector<std::vector<std::string>> rows{};  // raw; escaped when rendered
};
[[nodiscard]] std::string render(const Table& table, const Style& style);

using Fields = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] std::string render(const Fields& fields, const Style& style);
// Nested members get names with dots; lists of plain values stand on one line.
[[nodiscard]] Fields flatten(const Json& object);

// "850ms", "3.2s", "5min", "2h", "3d".
[[nodiscard]] std::string time_text(std::uint64_t usec);
// "512", "3.4K", "2.0G".
[[nodiscard]] std::string size_text(std::uint64_t bytes);
// Words parted by spaces; one that a shell would take apart is quoted.
[[nodiscard]] std::string command_text(const std::vector<std::string>& argv);

[[nodiscard]] Table jail_table(const std::vector<protocol::JailInfo>& jails, std::uint64_t now_usec);
[[nodiscard]] Table stats_table(const std::vector<protocol::JailStats>& stats);
[[nodiscard]] Table denial_table(const protocol::Denials& denials);
[[nodiscard]] std::string denials_text(const protocol::Denials& denials);  // three lines for each
[[nodiscard]] Table job_table(const std::vector<protocol::JobInfo>& jobs, std::uint64_t now_usec);
// Whether it has every one of these: "name" or "name=value".
[[nodiscard]] bool has_labels(const protocol::JailInfo& jail, const std::vector<std::string>& wanted);
[[nodiscard]] Fields jail_fields(const protocol::JailInfo& jail);
[[nodiscard]] Fields report_fields(const protocol::JobReport& report);

// To standard output, whole. 0, or kOwnFailure with a line on standard error.
int print(const Invocation& invocation, std::string_view text);
int print_value(const Invocation& invocation, const Json& value);  // indented without --json
// One value a line, for --json.
[[nodiscard]] std::string json_line(const Json& value);

}  // namespace sandboxd::ctl
