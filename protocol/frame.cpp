#include "protocol/frame.h"

namespace sandboxd::protocol {

bool FrameReader::feed(std::string_view bytes) {
  buffer_.erase(0, start_);
  tail_ -= start_;
  start_ = 0;
  std::size_t scan = buffer_.size();
  buffer_.append(bytes);
  for (; (scan = buffer_.find('\0', scan)) != std::string::npos; ++scan) {
    if (scan - tail_ > kMaxFrame) return false;
    tail_ = scan + 1;
  }
  return buffer_.size() - tail_ <= kMaxFrame;
}

std::size_t FrameReader::front_size() const noexcept { return has_frame() ? buffer_.find('\0', start_) - start_ : 0; }

std::optional<std::string> FrameReader::next() {
  if (!has_frame()) return std::nullopt;
  const std::size_t end = buffer_.find('\0', start_);
  std::string frame = buffer_.substr(start_, end - start_);
  start_ = end + 1;
  if (start_ == buffer_.size()) {
    buffer_ = std::string();  // an idle connection holds no memory for its largest frame
    start_ = tail_ = 0;
  }
  return frame;
}

}  // namespace sandboxd::protocol
