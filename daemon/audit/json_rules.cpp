#include "daemon/audit/json_rules.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace sandboxd::audit {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxInteger = 1LL << 53;

bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// Sees each value before it is built, so that neither a deep nor a wrong one costs anything.
class Rules {
 public:
  bool operator()(int depth, json::parse_event_t event, const json& value) {
    using Event = json::parse_event_t;
    if (depth > kMaxDepth) good_ = false;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end && !keys_.empty()) keys_.pop_back();
    if (event == Event::key) check_key(value.get_ref<const std::string&>());
    if (event == Event::value) check_number(value);
    return true;
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  void check_key(const std::string& name) {
    if (!is_ascii(name) || keys_.empty() || !keys_.back().insert(name).second) good_ = false;
  }
  void check_number(const json& value) {
    if (value.is_number_float()) good_ = false;
    if (value.is_number_unsigned() && value.get<std::uint64_t>() >= static_cast<std::uint64_t>(kMaxInteger))
      good_ = false;
    if (value.is_number_integer() && !value.is_number_unsigned() && value.get<std::int64_t>() <= -kMaxInteger)
      good_ = false;
  }

  std::vector<std::set<std::string>> keys_;
  bool good_ = true;
};

}  // namespace

std::optional<json> parse_strict(std::string_view text) {
  Rules rules;
  json value = json::parse(
      text, [&rules](int depth, json::parse_event_t event, json& parsed) { return rules(depth, event, parsed); },
      /*allow_exceptions=*/false);
  if (value.is_discarded() || !rules.good()) return std::nullopt;
  return value;
}

}  // namespace sandboxd::audit
