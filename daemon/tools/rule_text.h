// Rules of a filter in words, for the reports of sandboxd-profile. Pure.
#pragma once

#include <string>

#include "seccomp-profiles/compiler/bind.h"
#include "seccomp-profiles/model/filter.h"

namespace sandboxd::tools {

[[nodiscard]] std::string conditions_text(const filters::Rule& rule);  // "arg0 == AF_UNIX and arg1 == ..."; empty: none
[[nodiscard]] std::string parameters_text(const filters::Rule& rule);  // "unix_sockets: any"
// Groups by their name, other calls by theirs; each once, in the rule's order.
[[nodiscard]] std::string calls_text(const filters::Rule& rule);
// The group that makes the rule about this call; empty when it names the call itself.
[[nodiscard]] std::string group_of(const filters::Rule& rule, const std::string& call);
// Null: no rule names it.
[[nodiscard]] const filters::BoundCall* call_of(const filters::BoundFilter& bound, const std::string& call);
// For a cell of a Markdown table.
[[nodiscard]] std::string cell(std::string text);

}  // namespace sandboxd::tools
