// What our records and events say of jobs: JSON texts, bounded, valid whatever the bytes are.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "daemon/jails/clocks.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::jails {

inline constexpr std::size_t kArgvRecorded = 4U << 10;

// The beginning of an argv: about `most` bytes of it.
[[nodiscard]] std::vector<std::string> cut_argv(const std::vector<std::string>& argv, std::size_t most);
// `bytes` as a JSON text: a string, or {"b64": ...} where they are no text or hold what a terminal would obey.
[[nodiscard]] std::string bytes_text(const std::string& bytes);
// A JSON array of the beginning of an argv.
[[nodiscard]] std::string argv_text(const std::vector<std::string>& argv);
[[nodiscard]] std::string report_text(const protocol::JobReport& report);
[[nodiscard]] std::string failure_detail(const Failure& failure);
[[nodiscard]] protocol::JobFailure failure_of_job(const Failure& failure);

// Whether jail-init's word for a job's end is one: an exit, or a signal that there is.
[[nodiscard]] bool is_end(int status);
// A job's end by its wait status (wait(2)): what of it was ours.
struct EndedBy {
  std::optional<EndCause> limit{};
  std::string kill_reason{};
};
void judge(int status, const EndedBy& by, protocol::JobReport& report);

}  // namespace sandboxd::jails
