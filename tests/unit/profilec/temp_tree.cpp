#include "tests/unit/profilec/temp_tree.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include <gtest/gtest.h>

namespace sandboxd::profilec {

TempTree::TempTree() : path_(testing::TempDir() + "sandboxd-profilec-XXXXXX") {
  EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  EXPECT_EQ(::chmod(path_.c_str(), 0755), 0);  // sandboxd-profilec has an id of its own
}

TempTree::~TempTree() { std::filesystem::remove_all(path_); }

std::string TempTree::write(const std::string& name, const std::string& text) const {
  const std::string file = path_ + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path());
  std::ofstream(file) << text;
  return file;
}

}  // namespace sandboxd::profilec
