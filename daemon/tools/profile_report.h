// What sandboxd-profile says of profiles and filters, as text, JSON or a table for the documentation. Pure.
#pragma once

#include <string>

#include "seccomp-profiles/compiler/bind.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::tools {

// The profile with all that it inherits, in the format of a profile file.
[[nodiscard]] std::string resolved_json(const filters::Profile& profile);

// Which rules decide a call, in order, with their reasons: for people, and as one JSON object.
[[nodiscard]] std::string explain_text(const filters::BoundFilter& bound, const std::string& call);
[[nodiscard]] std::string explain_json(const filters::BoundFilter& bound, const std::string& call);

// A Markdown page of all that the filter refuses, rule by rule.
[[nodiscard]] std::string refusals_page(const filters::Filter& filter);

}  // namespace sandboxd::tools
