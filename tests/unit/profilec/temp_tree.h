// A folder of files that goes when the test ends.
#pragma once

#include <string>

namespace sandboxd::profilec {

class TempTree {
 public:
  TempTree();
  ~TempTree();
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  // Writes path()/name, makes the folders on the way; returns the whole path.
  std::string write(const std::string& name, const std::string& text) const;

 private:
  std::string path_{};
};

}  // namespace sandboxd::profilec
