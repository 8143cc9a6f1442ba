// The escape checks as data: what a probe of tests/sandboxees tries in a jail, which of it must get through outside (else the check
// proves nothing), and what a profile lets through on purpose. E01 to E86 are the project's ids for ways out of a jail that the field
// has known. What can't be a row (races, our own programs as targets) is a test of its own, named by its id.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/escape/ground.h"

namespace sandboxd::test {

enum class Workspace : std::uint8_t { kNone, kReadOnly, kWritable };

// What a profile is for.
struct OnPurpose {
  std::string_view profile;
  std::vector<std::string_view> tries;
  std::string_view why;
};

struct Check {
  std::string_view id;    // "E17"
  std::string_view name;  // of this row: "ProcRead"
  std::string_view what;  // in one line
  std::string_view origin;
  // The probe and its arguments, with the places of ground.h in braces.
  std::vector<std::string_view> command;
  std::vector<std::string_view> shown;  // tries that must get through outside
  std::vector<std::string_view> options{};
  std::vector<std::string_view> control{};  // the command outside, where it is another
  uid_t outside = kAlice;
  Workspace workspace = Workspace::kNone;
  void (*prepare)(Ground& ground) = nullptr;
  std::vector<std::string_view> host_may_refuse{};  // of `shown`: then this host can't show the row
  std::vector<OnPurpose> on_purpose{};
};

inline void PrintTo(const Check& check, std::ostream* out) {
  *out << check.id << " " << check.name;
}  // NOLINT: its name

const std::vector<Check>& checks();

}  // namespace sandboxd::test
