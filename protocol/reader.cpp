#include "protocol/reader.h"

#include <fmt/format.h>

#include "base/path.h"

namespace sandboxd::protocol {

ObjectReader::ObjectReader(const Json& object, std::string_view path) : object_(object), path_(path) {
  if (!object.is_object()) wrong_ = invalid(path, object, "an object");
}

const Json* ObjectReader::take(std::string_view key) {
  known_.push_back(key);
  if (wrong_) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void ObjectReader::required(std::string_view key, const Read& read) {
  const Json* value = take(key);
  if (wrong_) return;
  if (value == nullptr) {
    wrong_ = Invalid{child_path(path_, key), object_.contains(key) ? "null" : "", "a value: this field is needed"};
    return;
  }
  wrong_ = read(*value, child_path(path_, key));
}

void ObjectReader::optional(std::string_view key, const Read& read) {
  if (const Json* value = take(key)) wrong_ = read(*value, child_path(path_, key));
}

void ObjectReader::rule(bool holds, std::string_view key, std::string expected) {
  if (wrong_ || holds) return;
  const auto found = object_.find(key);
  wrong_ = found == object_.end() ? Invalid{child_path(path_, key), "", std::move(expected)}
                                  : invalid(child_path(path_, key), *found, std::move(expected));
}

Checked ObjectReader::finish() {
  if (wrong_) return std::move(wrong_);
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    return invalid(child_path(path_, key), value, fmt::format("no such key, but one of: {}", fmt::join(known_, ", ")));
  }
  return std::nullopt;
}

Read boolean(bool& out) {
  return [&out](const Json& value, const std::string& path) -> Checked {
    if (!value.is_boolean()) return invalid(path, value, "true or false");
    out = value.get<bool>();
    return std::nullopt;
  };
}

Read whole(std::uint64_t least, std::uint64_t most, std::function<void(std::uint64_t)> set) {
  return [=](const Json& value, const std::string& path) -> Checked {
    // 1.0, 1e3 and what is too large for 64 bits are floats here.
    const bool negative = value.is_number_integer() && !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    if (!value.is_number_integer() || negative || value.get<std::uint64_t>() < least ||
        value.get<std::uint64_t>() > most) {
      return invalid(path, value, fmt::format("an integer from {} to {}", least, most));
    }
    set(value.get<std::uint64_t>());
    return std::nullopt;
  };
}

Read string(std::size_t most, std::string& out) {
  return [most, &out](const Json& value, const std::string& path) -> Checked {
    if (!value.is_string() || value.get_ref<const std::string&>().size() > most) {
      return invalid(path, value, fmt::format("a string of at most {} bytes", most));
    }
    out = value.get<std::string>();
    return std::nullopt;
  };
}

Read matching(bool (*holds)(std::string_view), std::string expected, std::function<void(std::string)> set) {
  return [=](const Json& value, const std::string& path) -> Checked {
    if (!value.is_string() || !holds(value.get_ref<const std::string&>())) return invalid(path, value, expected);
    set(value.get<std::string>());
    return std::nullopt;
  };
}

Read bytes(std::size_t most, std::function<void(std::string)> set) {
  return [=](const Json& value, const std::string& path) -> Checked {
    std::string text;
    if (Checked wrong = bytes_from_json(value, path, most, text)) return wrong;
    set(std::move(text));
    return std::nullopt;
  };
}

Read bytes_without_nul(std::size_t most, std::function<void(std::string)> set) {
  return [=](const Json& value, const std::string& path) -> Checked {
    std::string text;
    if (Checked wrong = bytes_from_json(value, path, most, text)) return wrong;
    if (text.find('\0') != std::string::npos) return invalid(path, value, "no NUL byte");
    set(std::move(text));
    return std::nullopt;
  };
}

Read path_bytes(std::function<void(std::string)> set) {
  return [=](const Json& value, const std::string& path) -> Checked {
    std::string text;
    if (Checked wrong = bytes_from_json(value, path, 4095, text)) return wrong;
    if (!is_canonical_path(text)) {
      return invalid(path, value, "an absolute path without '//', '.', '..', NUL and '/' at its end");
    }
    set(std::move(text));
    return std::nullopt;
  };
}

Read list(std::size_t least, std::size_t most, Read element) {
  return [=](const Json& value, const std::string& path) -> Checked {
    if (!value.is_array() || value.size() < least || value.size() > most) {
      return invalid(path, value, fmt::format("an array of {} to {} elements", least, most));
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (Checked wrong = element(value[i], child_path(path, i))) return wrong;
    }
    return std::nullopt;
  };
}

Checked check_one_of(const Json& value, const std::string& path, std::span<const std::string_view> names,
                     std::size_t& index) {
  if (value.is_string()) {
    const auto found = std::find(names.begin(), names.end(), value.get_ref<const std::string&>());
    index = static_cast<std::size_t>(found - names.begin());
    if (found != names.end()) return std::nullopt;
  }
  return invalid(path, value, fmt::format("one of: {}", fmt::join(names, ", ")));
}

}  // namespace sandboxd::protocol
