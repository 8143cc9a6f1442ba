#include "daemon/jails/output_limit.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/limit_text.h"

namespace sandboxd::jails {

std::size_t OutputLimit::take(std::size_t index, std::string_view bytes) {
  if (most_ == 0) return bytes.size();
  const std::size_t goes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), most_ - taken_));
  taken_ += goes;
  const std::string_view rest = bytes.substr(goes);
  if (rest.empty()) return goes;
  over_ = true;
  Cut& cut = cuts_.at(index);
  cut.bytes += rest.size();
  cut.tail.append(rest.substr(rest.size() - std::min(rest.size(), kTail)));
  if (cut.tail.size() > kTail) cut.tail.erase(0, cut.tail.size() - kTail);
  return goes;
}

std::string OutputLimit::end(std::size_t index) {
  const Cut cut = std::exchange(cuts_.at(index), {});
  if (cut.bytes == 0) return {};
  return fmt::format("\n[sandboxd: output_max {} was reached; {} bytes are left out here]\n{}",
                     limit_text(*find_limit("output_max"), most_), cut.bytes - cut.tail.size(), cut.tail);
}

}  // namespace sandboxd::jails
