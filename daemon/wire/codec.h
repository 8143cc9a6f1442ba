// The flat encoding between our own programs: little-endian integers, u32-length-prefixed bytes, u32-counted lists. Every
// read checks its length; a reader that met a fault stays failed and gives zeros, so that one check at the end is enough.
// A struct lists its members once, in `template <class A> void fields(A& a)`, and both directions follow that list.
// No allocation and no libc in `View`: jail-init uses it.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sandboxd::wire {

// Bounds on what a peer can make us allocate.
inline constexpr std::uint32_t kMaxBytes = 8U << 20;
inline constexpr std::uint32_t kMaxItems = 65536;

template <class T>
concept Number = std::integral<T> || std::is_enum_v<T>;

class View {
 public:
  constexpr View(const std::uint8_t* data, std::size_t size) noexcept : data_(data), size_(size) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  // True when everything was read and nothing is left over.
  [[nodiscard]] bool finished() const noexcept { return ok_ && at_ == size_; }

  template <Number T> T number() noexcept {
    T value{};
    const std::uint8_t* from = take(sizeof(T));
    if (from != nullptr) __builtin_memcpy(&value, from, sizeof(T));
    return value;
  }
  std::string_view bytes() noexcept {
    const auto size = number<std::uint32_t>();
    if (size > kMaxBytes) ok_ = false;
    const std::uint8_t* from = take(size);
    return from == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(from), size);
  }
  std::uint32_t count() noexcept {
    const auto items = number<std::uint32_t>();
    if (items > kMaxItems) ok_ = false;
    return ok_ ? items : 0;
  }
  void align(std::size_t to) noexcept {
    while (ok_ && at_ % to != 0) take(1);
  }
  // The start of the next `size` bytes, or nullptr.
  const std::uint8_t* skip(std::size_t size) noexcept { return take(size); }
  void fail() noexcept { ok_ = false; }

 private:
  const std::uint8_t* take(std::size_t size) noexcept {
    if (!ok_ || size > size_ - at_) {
      ok_ = false;
      return nullptr;
    }
    at_ += size;
    return data_ + at_ - size;
  }

  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

class Writer {
 public:
  template <class T> void operator()(T& value) { put(value); }
  template <class T> void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      raw(static_cast<std::uint8_t>(value ? 1 : 0));
    } else if constexpr (Number<T>) {
      raw(value);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      const std::string_view text = value;
      raw(static_cast<std::uint32_t>(text.size()));
      bytes_.insert(bytes_.end(), text.begin(), text.end());
    } else if constexpr (requires {
                           value.data();
                           value.size();
                         }) {
      list(value);
    } else {
      const_cast<T&>(value).fields(*this);
    }
  }
  void align(std::size_t to) {
    while (bytes_.size() % to != 0) bytes_.push_back(0);
  }
  [[nodiscard]] std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  template <class T> void raw(T value) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }
  template <class T> void list(const T& values) {
    if constexpr (!is_array<T>::value) raw(static_cast<std::uint32_t>(values.size()));
    for (const auto& value : values) put(value);
  }
  template <class T> struct is_array : std::false_type {};
  template <class T, std::size_t N> struct is_array<std::array<T, N>> : std::true_type {};

  std::vector<std::uint8_t> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : view_(bytes.data(), bytes.size()) {}

  [[nodiscard]] bool finished() const noexcept { return view_.finished(); }
  void fail() noexcept { view_.fail(); }

  template <class T> void operator()(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = view_.number<std::uint8_t>();
      if (byte > 1) view_.fail();
      value = byte == 1;
    } else if constexpr (Number<T>) {
      value = view_.number<T>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = std::string(view_.bytes());
    } else if constexpr (is_vector<T>::value) {
      const std::uint32_t count = view_.count();
      value.clear();
      for (std::uint32_t i = 0; i < count && view_.ok(); ++i) (*this)(value.emplace_back());
    } else if constexpr (is_array<T>::value) {
      for (auto& item : value) (*this)(item);
    } else {
      value.fields(*this);
    }
  }

 private:
  template <class T> struct is_vector : std::false_type {};
  template <class T> struct is_vector<std::vector<T>> : std::true_type {};
  template <class T> struct is_array : std::false_type {};
  template <class T, std::size_t N> struct is_array<std::array<T, N>> : std::true_type {};

  View view_;
};

template <class T> std::vector<std::uint8_t> encode(const T& value) {
  Writer writer;
  writer.put(value);
  return writer.take();
}

// False when the bytes are not exactly one T. Enums are checked by the caller (`valid()` members below do it).
template <class T> [[nodiscard]] bool decode(std::span<const std::uint8_t> bytes, T& value) {
  Reader reader(bytes);
  reader(value);
  return reader.finished();
}

}  // namespace sandboxd::wire
