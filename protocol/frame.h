// Varlink frames: JSON text that ends with a NUL byte. The reader takes bytes as they come and gives frames out without
// their NUL; it holds at most kMaxFrame bytes of an unfinished one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::protocol {

inline constexpr std::size_t kMaxFrame = 1U << 20;  // without the NUL

class FrameReader {
 public:
  // False when a frame over kMaxFrame begins in what was fed: there is no way on, close the connection.
  [[nodiscard]] bool feed(std::string_view bytes);
  // The oldest whole frame; nothing when there is none.
  [[nodiscard]] std::optional<std::string> next();
  [[nodiscard]] bool has_frame() const noexcept { return tail_ > start_; }
  [[nodiscard]] std::size_t front_size() const noexcept;  // bytes of the oldest whole frame; 0 when there is none
  [[nodiscard]] std::size_t size() const noexcept { return buffer_.size() - start_; }  // bytes held

 private:
  std::string buffer_;
  std::size_t start_ = 0;  // of the oldest frame
  std::size_t tail_ = 0;   // of the unfinished one
};

}  // namespace sandboxd::protocol
