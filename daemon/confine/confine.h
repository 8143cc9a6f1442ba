// How our own unprivileged programs lock themselves in, once they hold their sockets and before they read a byte from
// anyone: no capability (checked, never dropped here: whoever started them did that), no_new_privs, Landlock, then the
// program's own system call filter (filters/*.json). Read back from the kernel; an error if any is not in force.
// A program that gets an error must end: part of it may be in force already.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

struct sock_filter;

namespace sandboxd {

enum class Program : std::uint8_t { kSandboxd, kBroker, kAudit };

struct ConfineOptions {
  // Files, or directories with all below; they must exist. Writable implies readable. Anything else has no path any more.
  std::vector<std::string> readable{};
  std::vector<std::string> writable{};
};

// One thread only (a filter is a thread's). Open what is needed outside these paths first.
Status confine_self(Program program, const ConfineOptions& options);

// The filter alone, for tests and for what only shows it.
[[nodiscard]] std::span<const sock_filter> filter_of(Program program);

}  // namespace sandboxd
