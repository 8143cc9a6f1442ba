#include "sandboxd-client/ctl/detach_keys.h"

namespace sandboxd::ctl {
namespace {

std::optional<char> key_from_text(std::string_view text) {
  constexpr std::string_view kCtrl = "ctrl-";
  if (text.size() == 1 && text[0] > ' ' && text[0] <= '~') return text[0];
  if (text.size() != kCtrl.size() + 1 || !text.starts_with(kCtrl)) return std::nullopt;
  const char key = text.back();
  if (key >= 'a' && key <= 'z') return static_cast<char>(key - 'a' + 1);
  if (key == '@' || (key >= '[' && key <= '_')) return static_cast<char>(key - '@');
  return std::nullopt;
}

}  // namespace

std::optional<std::string> detach_keys_from_text(std::string_view text) {
  std::string keys;
  if (text == "none") return keys;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    const std::optional<char> key = key_from_text(text.substr(start, comma - start));
    if (!key) return std::nullopt;
    keys += *key;
    start = comma + 1;
  }
  return keys;
}

std::string DetachKeys::pass(std::string_view typed) {
  if (keys_.empty()) return std::string(typed);
  std::string through;
  for (const char key : typed) {
    if (seen_) break;
    held_ += key;
    // What can't be the sequence's beginning any more was meant for the job.
    while (!held_.empty() && !keys_.starts_with(held_)) {
      through += held_.front();
      held_.erase(0, 1);
    }
    seen_ = held_ == keys_;
  }
  return through;
}

}  // namespace sandboxd::ctl
