// The profiles and filters of the source tree, for tests of what sandboxd-profile says of them.
#pragma once

#include <string>
#include <string_view>

#include <fcntl.h>

#include <gtest/gtest.h>

#include "base/file.h"
#include "daemon/profilec/source_files.h"

namespace sandboxd::tools {

class ShippedProfiles : public testing::Test {
 protected:
  void SetUp() override {
    auto files = profilec::SourceFiles::open({{std::string(SANDBOXD_SOURCE_DIR) + "/seccomp-profiles/profiles", false}},
                                             profilec::Owner::kAnyone);
    ASSERT_TRUE(files.ok()) << files.error().message();
    files_ = std::move(files).value();
  }

  static filters::BoundFilter bound(const filters::Filter& filter, const std::string& unix_sockets) {
    auto bound = filters::bind_filter(filter, filters::Arch::kX86_64, {{"unix_sockets", unix_sockets}});
    EXPECT_TRUE(bound.ok()) << bound.error().message();
    return std::move(bound).value();
  }

  // A page of the documentation; empty where there is none.
  static std::string page(std::string_view name) {
    const Result<std::string> text =
        read_file(AT_FDCWD, std::string(SANDBOXD_SOURCE_DIR) + "/docs/" + std::string(name));
    EXPECT_TRUE(text.ok()) << text.error().message();
    return text.ok() ? *text : std::string();
  }

  profilec::SourceFiles files_{};
};

}  // namespace sandboxd::tools
