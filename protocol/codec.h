// The values of protocol/job.h as JSON, as protocol/org.sandboxd.Jail.varlink declares them. Decoding checks everything that
// can be known without the host: types, ranges, counts, NUL bytes, canonical paths, which field needs which. Unknown keys are
// refused. Encoding never fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/job.h"
#include "protocol/json.h"

namespace sandboxd::protocol {

inline constexpr std::size_t kMaxArgv = 16384;
inline constexpr std::size_t kMaxEnv = 4096;
inline constexpr std::size_t kMaxText =
    131071;  // of one argument or NAME=value: execve(2), MAX_ARG_STRLEN less its NUL
inline constexpr std::size_t kMaxTmpfs = 64;
inline constexpr std::size_t kMaxDirs = 256;
inline constexpr std::size_t kMaxStdin = 512U << 10;
inline constexpr std::size_t kMaxLabels = 32;
inline constexpr std::size_t kMaxLabelName = 64;
inline constexpr std::size_t kMaxLabelValue = 256;
inline constexpr std::uint64_t kMaxDuration = 10ULL * 366 * 86400 * 1'000'000;  // microseconds
inline constexpr std::uint64_t kMaxNumber = INT64_MAX;                          // varlink's int
inline constexpr std::size_t kArgvShown = 32U << 10;                            // in a JailInfo; bytes
inline constexpr std::size_t kArgvListed = 1U << 10;                            // in a list of them

// `path`: where `value` is in the frame, for the errors.
[[nodiscard]] Checked decode(const Json& value, std::string_view path, JobSpec& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, AskedLimits& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, JobReport& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, JailStats& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, Denial& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, Denials& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, LearnedProfile& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, Fact& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, JailInfo& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, ExecSpec& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, JobFailure& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, JobInfo& out);
[[nodiscard]] Checked decode(const Json& value, std::string_view path, WindowSize& out);

[[nodiscard]] Json encode(const JobSpec& spec);
[[nodiscard]] Json encode(const AskedLimits& limits);
[[nodiscard]] Json encode(const JobReport& report);
[[nodiscard]] Json encode(const JailStats& stats);
[[nodiscard]] Json encode(const Denial& denial);
[[nodiscard]] Json encode(const Denials& denials);
[[nodiscard]] Json encode(const LearnedProfile& learned);
[[nodiscard]] Json encode(const JailInfo& info, std::size_t argv_most = kArgvShown);
[[nodiscard]] Json encode(const ExecSpec& spec);
[[nodiscard]] Json encode(const JobFailure& failure);
[[nodiscard]] Json encode(const JobInfo& info);
[[nodiscard]] Json encode(const WindowSize& size);

// "exited", "timeout_wall" ...
[[nodiscard]] std::string_view name_of(Verdict verdict);

// A jail's or profile's name: A-Z a-z 0-9 _ . - (none of the last two first), 1 to 64 of them.
[[nodiscard]] bool is_name(std::string_view text);
// What gethostname(2) may give: labels of A-Z a-z 0-9 - with dots between, at most 64 bytes.
[[nodiscard]] bool is_hostname(std::string_view text);

}  // namespace sandboxd::protocol
