#include "protocol/json.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sandboxd::protocol {
namespace {

constexpr std::size_t kValueShown = 200;

std::string cut(std::string text) {
  if (text.size() <= kValueShown) return text;
  text.resize(kValueShown);
  return text + "...";
}

// Builds the value as the parser meets its parts. nlohmann's own builder keeps the last of duplicate keys and has no bounds.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(Json& root) : root_(root) {}

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  // Negative, or -0, which is no integer that anybody meant.
  bool number_integer(number_integer_t value) override { return add(value == 0 ? Json(-0.0) : Json(value)) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override { return add(value) != nullptr; }
  bool string(string_t& value) override { return add(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Json& object = *open_.back();
    if (object.contains(name)) return refuse(child_path(path(), name), cut(Json(name).dump()), "each key once");
    slot_ = &object[name];
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token, const nlohmann::detail::exception&) override {
    return refuse(path(), cut(fmt::format("at byte {}: {}", position, escaped(token))), "JSON text (RFC 8259)");
  }

  [[nodiscard]] Checked take_wrong() { return std::move(wrong_); }

 private:
  Json* add(Json value) {
    if (++values_ > kMaxValues) {
      refuse(path(), "", fmt::format("at most {} values", kMaxValues));
      return nullptr;
    }
    Json* place = slot_ != nullptr ? slot_ : open_.empty() ? &root_ : nullptr;
    if (place != nullptr) {
      *place = std::move(value);
    } else {
      place = &open_.back()->emplace_back(std::move(value));
    }
    slot_ = nullptr;
    return place;
  }

  bool open(Json::value_t type) {
    if (open_.size() == kMaxDepth) return refuse(path(), "", fmt::format("at most {} levels", kMaxDepth));
    Json* place = add(Json(type));
    if (place == nullptr) return false;
    open_.push_back(place);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool refuse(std::string where, std::string value, std::string expected) {
    wrong_ = Invalid{std::move(where), std::move(value), std::move(expected)};
    return false;
  }

  // Of the innermost open value: found by address, so that a good text pays nothing for it.
  [[nodiscard]] std::string path() const {
    std::string text;
    for (std::size_t i = 0; i + 1 < open_.size(); ++i) {
      if (open_[i]->is_array()) {
        text = child_path(text, open_[i]->size() - 1);
        continue;
      }
      for (const auto& [name, value] : open_[i]->items()) {
        if (&value == open_[i + 1]) text = child_path(text, name);
      }
    }
    return text;
  }

  Json& root_;
  std::vector<Json*> open_{};
  Json* slot_ = nullptr;  // of the key that was read last
  std::size_t values_ = 0;
  Checked wrong_{};
};

// What to_text() makes longer: quotes, backslashes and control characters (RFC 8259 section 7).
std::size_t escape_cost(std::string_view text) {
  std::size_t cost = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '"' || byte == '\\' || byte == '\n' || byte == '\t' || byte == '\r' || byte == '\b' || byte == '\f') {
      cost += 1;
    } else if (byte < 0x20) {
      cost += 5;
    }
  }
  return cost;
}

}  // namespace

std::string Invalid::message() const {
  return fmt::format("'{}': {} instead of {}", escaped(path), value.empty() ? "nothing" : escaped(value), expected);
}

Checked parse_json(std::string_view text, Json& out) {
  out = nullptr;
  // nlohmann takes a NUL as the end of the text, and skips a byte order mark.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Invalid{"", fmt::format("at byte {}: NUL", nul + 1), "JSON text (RFC 8259)"};
  }
  if (text.starts_with("\xEF\xBB\xBF")) return Invalid{"", "a byte order mark", "JSON text (RFC 8259)"};
  Builder builder(out);
  if (Json::sax_parse(text, &builder)) return std::nullopt;
  return builder.take_wrong();
}

std::string to_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

Invalid invalid(std::string_view path, const Json& value, std::string expected) {
  return {std::string(path), cut(value.dump(-1, ' ', true, Json::error_handler_t::replace)), std::move(expected)};
}

std::string child_path(std::string_view path, std::string_view key) {
  std::string text(path);
  text += '/';
  for (const char c : key.substr(0, kValueShown)) {
    if (c == '~') {
      text += "~0";
    } else if (c == '/') {
      text += "~1";
    } else {
      text += c;
    }
  }
  return text;
}

std::string child_path(std::string_view path, std::size_t index) { return fmt::format("{}/{}", path, index); }

Json bytes_to_json(std::string_view bytes) {
  // {"b64":"..."} is 10 + 4n/3 bytes, a string 2 + n and what escapes cost.
  if (is_utf8(bytes) && escape_cost(bytes) <= bytes.size() / 3 + 8) return std::string(bytes);
  return Json{{"b64", base64_encode(bytes)}};
}

Checked bytes_from_json(const Json& value, std::string_view path, std::size_t most, std::string& out) {
  if (value.is_string()) {
    out = value.get_ref<const std::string&>();
  } else if (value.is_object() && value.size() == 1 && value.contains("b64") && value["b64"].is_string()) {
    auto decoded = base64_decode(value["b64"].get_ref<const std::string&>());
    if (!decoded) return invalid(child_path(path, "b64"), value["b64"], "base64 (RFC 4648) with padding");
    out = std::move(*decoded);
  } else {
    return invalid(path, value, "a string or {\"b64\": \"...\"}");
  }
  if (out.size() > most) return invalid(path, value, fmt::format("at most {} bytes", most));
  return std::nullopt;
}

}  // namespace sandboxd::protocol
