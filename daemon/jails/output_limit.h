// output_max: of what a job writes to its two outputs together, so many bytes go on. Of the rest the last few of each output
// are kept, and go out at its end behind a line that says how much is missing between the two. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sandboxd::jails {

class OutputLimit {
 public:
  static constexpr std::size_t kTail = 4U << 10;  // of each output

  explicit OutputLimit(std::uint64_t most = 0) : most_(most) {}  // 0: none

  // How much of `bytes` goes on; the rest is noted.
  std::size_t take(std::size_t index, std::string_view bytes);
  [[nodiscard]] bool over() const { return over_; }
  // What an output ends with: nothing, or the mark and its last bytes. Once.
  std::string end(std::size_t index);

 private:
  struct Cut {
    std::uint64_t bytes = 0;
    std::string tail{};
  };
  std::uint64_t most_;
  std::uint64_t taken_ = 0;
  bool over_ = false;
  std::array<Cut, 2> cuts_{};
};

}  // namespace sandboxd::jails
