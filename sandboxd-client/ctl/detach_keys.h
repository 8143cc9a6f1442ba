// The keys that leave a job's terminal without ending the job: a sequence that is taken out of what is typed. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::ctl {

inline constexpr std::string_view kDefaultDetachKeys = "ctrl-p,ctrl-q";

// "ctrl-p,ctrl-q", "~,.", "none": the bytes that these keys send. ctrl-a to ctrl-z, ctrl-@ [ \ ] ^ _, and single characters.
[[nodiscard]] std::optional<std::string> detach_keys_from_text(std::string_view text);

class DetachKeys {
 public:
  explicit DetachKeys(std::string keys = {}) : keys_(std::move(keys)) {}

  // What goes on to the job. A beginning of the sequence is held until the next key decides.
  [[nodiscard]] std::string pass(std::string_view typed);
  // They were typed: everything after them was dropped.
  [[nodiscard]] bool seen() const noexcept { return seen_; }

 private:
  std::string keys_;
  std::string held_{};
  bool seen_ = false;
};

}  // namespace sandboxd::ctl
