#include "daemon/plan/redact.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace sandboxd::plan {
namespace {

constexpr std::size_t kShortest = 8;  // of what is hidden wherever it stands: shorter ones stand in ordinary words
constexpr std::size_t kMostSecrets =
    256;  // with more, looking for each of them would take too long: all is hidden then
constexpr std::size_t kLongestName = 255;
using Patterns = std::span<const std::string>;

char folded(char c) {
  if (c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 'A');
  return c == '-' || c == '.' ? '_' : c;
}

bool is_name_char(char c) {
  const char f = folded(c);
  return (f >= 'A' && f <= 'Z') || (c >= '0' && c <= '9') || f == '_';
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_quote(char c) { return c == '"' || c == '\''; }

bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (p < pattern.size() && folded(pattern[p]) == folded(name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// One argument, with what of it is hidden.
class Argument {
 public:
  Argument(Patterns patterns, std::string_view text, std::vector<std::string>& secrets)
      : patterns_(patterns), text_(text), secrets_(secrets) {}

  std::string shown() {
    while (at_ < text_.size()) {
      const std::size_t start = at_;
      while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
      if (at_ == start) ++at_;
      const std::string_view name = text_.substr(start, at_ - start);
      out_ += name;
      if (is_named(name)) hide_value(start, name.front() == '-');
    }
    return std::move(out_);
  }
  // An option whose value is the next argument.
  [[nodiscard]] bool wants_next() const {
    return text_.starts_with('-') && std::ranges::all_of(text_, is_name_char) && is_named(text_);
  }

 private:
  [[nodiscard]] bool is_named(std::string_view name) const {
    name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
    return is_hidden_name(patterns_, name);
  }
  [[nodiscard]] char ahead(std::size_t by = 0) const { return at_ + by < text_.size() ? text_[at_ + by] : '\0'; }

  void hide_value(std::size_t start, bool option) {
    const std::size_t from = at_;
    if (is_quote(ahead()) && ahead(1) == ':') ++at_;  // JSON
    const char parted_by = ahead();
    if (parted_by == '=' || parted_by == ':') {
      ++at_;
    } else if (!option || !is_blank(parted_by)) {
      at_ = from;
      return;
    }
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    out_ += text_.substr(from, at_ - from);
    const std::size_t end = start == 0 && !is_blank(parted_by) ? text_.size() : end_of_value(parted_by == ':');
    std::string_view value = text_.substr(at_, end - at_);
    at_ = end;
    if (value.empty()) return;
    out_ += kHidden;
    if (value.size() > 2 && is_quote(value.front()) && value.back() == value.front())
      value = value.substr(1, value.size() - 2);
    secrets_.emplace_back(value);
  }

  // A quoted value ends with its quote, a header's with its line, another with a blank.
  [[nodiscard]] std::size_t end_of_value(bool header) const {
    std::size_t end = at_;
    const char quote = is_quote(ahead()) ? text_[end++] : '\0';
    for (; end < text_.size(); ++end) {
      const char c = text_[end];
      if (c == '\\') {
        ++end;
      } else if (quote != '\0') {
        if (c == quote) return end + 1;
      } else if (is_quote(c) || (header ? c == '\n' : is_blank(c))) {
        return end;
      }
    }
    return text_.size();
  }

  Patterns patterns_;
  std::string_view text_;
  std::vector<std::string>& secrets_;
  std::size_t at_ = 0;
  std::string out_{};
};

// memmem(3) is linear whatever the two are; find() is not, and a client chooses both.
std::string without(std::string_view text, const std::string& secret) {
  std::string out;
  for (;;) {
    const void* found = ::memmem(text.data(), text.size(), secret.data(), secret.size());
    if (found == nullptr) return out.append(text);
    const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    out.append(text.substr(0, at)).append(kHidden);
    text.remove_prefix(at + secret.size());
  }
}

// Those that are looked for everywhere, longest first: one may be a part of another.
void keep_long_ones(std::vector<std::string>& secrets) {
  std::erase_if(secrets, [](const std::string& secret) { return secret.size() < kShortest; });
  std::ranges::sort(secrets);
  secrets.erase(std::unique(secrets.begin(), secrets.end()), secrets.end());
  std::ranges::stable_sort(secrets, std::ranges::greater(), &std::string::size);
}

std::vector<std::string> values_of(Patterns patterns, const std::vector<std::string>& env) {
  std::vector<std::string> values;
  for (const std::string& entry : env) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string::npos && is_hidden_name(patterns, std::string_view(entry).substr(0, equals)))
      values.push_back(entry.substr(equals + 1));
  }
  return values;
}

}  // namespace

bool is_hidden_name(Patterns patterns, std::string_view name) {
  if (name.empty()) return false;
  name = name.substr(name.size() - std::min(name.size(), kLongestName));
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches(pattern, name); });
}

std::vector<std::string> shown_env(Patterns patterns, const std::vector<std::string>& env) {
  std::vector<std::string> shown;
  for (const std::string& entry : env) {
    const std::size_t equals = std::min(entry.find('='), entry.size());
    const bool hidden = is_hidden_name(patterns, std::string_view(entry).substr(0, equals));
    shown.push_back(hidden ? entry.substr(0, equals) + "=" + std::string(kHidden) : entry);
  }
  return shown;
}

std::vector<std::string> shown_argv(Patterns patterns, const std::vector<std::string>& argv,
                                    const std::vector<std::string>& env) {
  if (patterns.empty()) return argv;
  std::vector<std::string> secrets = values_of(patterns, env);
  std::vector<std::string> shown;
  std::size_t room = kMostShown;
  bool was_cut = false;
  bool next_is_value = false;
  for (const std::string& argument : argv) {
    was_cut = argument.size() > room;
    const std::string_view text = std::string_view(argument).substr(0, room);
    Argument one(patterns, text, secrets);
    if (next_is_value) secrets.emplace_back(text);
    shown.push_back(next_is_value ? std::string(kHidden) : one.shown());
    next_is_value = !next_is_value && one.wants_next();
    room -= std::min(room, argument.size() + 1);
    if (room == 0) break;
  }
  if (was_cut && !secrets.empty()) shown.back() = kHidden;  // half of a secret is none that is known
  keep_long_ones(secrets);
  if (secrets.size() > kMostSecrets) return std::vector<std::string>(shown.size(), std::string(kHidden));
  for (std::string& argument : shown) {
    for (const std::string& secret : secrets) argument = without(argument, secret);
  }
  return shown;
}

}  // namespace sandboxd::plan
