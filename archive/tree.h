// Directories by descriptor, one step at a time and no symlink followed (openat2(2) is not in every jail). Names are one part
// of a path. Errors carry errno; ELOOP or ENOTDIR where something is no directory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::archive {

// Of a directory that lies in `parent` itself.
Result<UniqueFd> open_step(int parent, const std::string& name);
// The names in a directory, sorted; EOVERFLOW when there are more than `most`.
Result<std::vector<std::string>> names_in(int directory, std::size_t most);
// Whatever it is, with all below it; false when it wasn't there. EOVERFLOW when it is nested deeper than kMostNested. What others
// change meanwhile can make it fail, never leave the tree.
inline constexpr std::uint32_t kMostNested = 256;
Result<bool> remove_tree(int parent, const std::string& name);

// A hidden directory of the caller's alone, held by a lock for as long as it is used; removed with all that is in it at the end.
// One whose maker was killed is removed by the next that is made beside it.
class Staging {
 public:
  Staging() = default;
  Staging(Staging&&) noexcept = default;
  Staging& operator=(Staging&& other) noexcept;
  ~Staging() { end(); }

  static Result<Staging> make(int parent);  // borrowed, for as long as this lives
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void end() noexcept;

 private:
  int parent_ = -1;
  std::string name_{};
  UniqueFd fd_{};
};
inline constexpr std::string_view kStagingStart = ".sandboxd-";
[[nodiscard]] Result<std::string> staging_name();

}  // namespace sandboxd::archive
