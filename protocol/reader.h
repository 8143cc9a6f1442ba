// Reads JSON objects field by field and remembers the first thing that is wrong. A Read is a check of one value that puts
// it where it belongs; the functions below make them. Includes the whole JSON library: for .cpp files only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/json.h"
#include "protocol/names.h"

namespace sandboxd::protocol {

using Read = std::function<Checked(const Json& value, const std::string& path)>;

class ObjectReader {
 public:
  ObjectReader(const Json& object, std::string_view path);

  void required(std::string_view key, const Read& read);
  void optional(std::string_view key, const Read& read);  // absent and null are the same
  // A rule that needs several fields; called when nothing was wrong so far.
  void rule(bool holds, std::string_view key, std::string expected);
  // The first failure, else an unknown key.
  [[nodiscard]] Checked finish();

 private:
  const Json* take(std::string_view key);

  const Json& object_;
  std::string path_;
  std::vector<std::string_view> known_{};
  Checked wrong_{};
};

[[nodiscard]] Read boolean(bool& out);
// An integer in least..most, written as plain decimal digits.
[[nodiscard]] Read whole(std::uint64_t least, std::uint64_t most, std::function<void(std::uint64_t)> set);
[[nodiscard]] Read string(std::size_t most, std::string& out);
// A string for which `holds` is true.
[[nodiscard]] Read matching(bool (*holds)(std::string_view), std::string expected,
                            std::function<void(std::string)> set);
[[nodiscard]] Read bytes(std::size_t most, std::function<void(std::string)> set);
[[nodiscard]] Read bytes_without_nul(std::size_t most, std::function<void(std::string)> set);
[[nodiscard]] Read path_bytes(std::function<void(std::string)> set);  // canonical (base/path.h)
[[nodiscard]] Read list(std::size_t least, std::size_t most, Read element);

template <class T> auto into(T& out) {
  return [&out](auto value) { out = static_cast<T>(std::move(value)); };
}
template <class T> auto into(std::optional<T>& out) {
  return [&out](auto value) { out = static_cast<T>(std::move(value)); };
}
template <class T> auto append(std::vector<T>& out) {
  return [&out](auto value) { out.push_back(std::move(value)); };
}

[[nodiscard]] Checked check_one_of(const Json& value, const std::string& path, std::span<const std::string_view> names,
                                   std::size_t& index);

template <class E, std::size_t N> [[nodiscard]] Read one_of(const std::array<Named<E>, N>& table, E& out) {
  return [&table, &out](const Json& value, const std::string& path) -> Checked {
    std::array<std::string_view, N> names;
    std::transform(table.begin(), table.end(), names.begin(), [](const Named<E>& row) { return row.name; });
    std::size_t index = 0;
    if (Checked wrong = check_one_of(value, path, names, index)) return wrong;
    out = table[index].value;
    return std::nullopt;
  };
}

// A value that has a decode() of its own.
template <class T> [[nodiscard]] Read object(T& out) {
  return [&out](const Json& value, const std::string& path) { return decode(value, path, out); };
}
template <class T> [[nodiscard]] Read object(std::optional<T>& out) {
  return [&out](const Json& value, const std::string& path) { return decode(value, path, out.emplace()); };
}
template <class T> [[nodiscard]] Read object_list(std::size_t most, std::vector<T>& out) {
  return list(0, most,
              [&out](const Json& value, const std::string& path) { return decode(value, path, out.emplace_back()); });
}

}  // namespace sandboxd::protocol
