// What sandboxd-profile says of profiles and filters, as text, JSON or a table for the documentation. Pure.
#pragma once

#include <string>
#include <vector>

#include "daemon/wire/profile_set.h"
#include "seccomp-profiles/compiler/bind.h"
#include "seccomp-profiles/compiler/compare.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::tools {

// The profile with all that it inherits, in the format of a profile file.
[[nodiscard]] std::string resolved_json(const filters::Profile& profile);

// A filter's rules in order, with what they include; for people and scripts, not a filter file.
[[nodiscard]] std::string rules_json(const filters::Filter& filter);

// Something that is said differently: a key of a profile as "limits.nofile", or what a filter does with calls without a rule.
// Empty text: not said at all.
struct KeyDifference {
  std::string key{};
  std::string before{};
  std::string after{};
};
struct Difference {
  std::vector<KeyDifference> keys{};
  std::vector<KeyDifference> answers{};
  std::vector<filters::CallDifference> calls{};
};
[[nodiscard]] std::vector<KeyDifference> compare_profiles(const filters::Profile& before,
                                                          const filters::Profile& after);
[[nodiscard]] std::vector<KeyDifference> compare_answers(const filters::Filter& before, const filters::Filter& after);
// Text: lines "- before" and "+ after" under what they are about; nothing when there is no difference.
[[nodiscard]] std::string difference_text(const Difference& difference);
[[nodiscard]] std::string difference_json(const Difference& difference);

// A preset in the same way, with what `default` gives it.
[[nodiscard]] std::string preset_json(const wire::Preset& preset);

// Which rules decide a call, in order, with their reasons: for people, and as one JSON object.
[[nodiscard]] std::string explain_text(const filters::BoundFilter& bound, const std::string& call);
[[nodiscard]] std::string explain_json(const filters::BoundFilter& bound, const std::string& call);

// A Markdown table of what a profile says for a reason: the key, the value, what it is worth, why.
[[nodiscard]] std::string reasons_table(const filters::Profile& profile);

// A Markdown page of all that the filter refuses, rule by rule.
[[nodiscard]] std::string refusals_page(const filters::Filter& filter);

}  // namespace sandboxd::tools
