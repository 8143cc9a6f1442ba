#include "tests/escape/report.h"

#include <cstdlib>
#include <fstream>

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <nlohmann/json.hpp>

namespace sandboxd::test {

std::string kernel_release() {
  utsname uts{};
  return ::uname(&uts) == 0 ? &uts.release[0] : "";
}

void write_report(const std::string& name, const nlohmann::json& content) {
  const char* folder = std::getenv("SANDBOXD_ESCAPE_REPORT");
  if (folder == nullptr) return;
  std::ofstream file(fmt::format("{}/{}-{}.json", folder, name, kernel_release()));
  file << content.dump(1) << "\n";
  file.close();
  EXPECT_TRUE(file.good()) << "report not written to " << folder;
}

}  // namespace sandboxd::test
