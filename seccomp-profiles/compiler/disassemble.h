// A seccomp program as text for people, an instruction a line: "   3  jge 57 -> 10, 4   ; fork ...". Pure. It knows what emit.h
// makes and says "?" for anything else; no program of others is judged by it.
#pragma once

#include <span>
#include <string>

#include <linux/filter.h>

#include "seccomp-profiles/model/filter.h"

namespace sandboxd::filters {

[[nodiscard]] std::string disassemble(std::span<const sock_filter> program, Arch arch);

}  // namespace sandboxd::filters
