// Profile, filter and configuration files. They are root's, so this is not about attackers: a file that is wrong must be an
// error that says where, never a crash of the program that all jails wait for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/profilec/config.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/profile.h"

namespace {

using sandboxd::Result;
using sandboxd::filters::SourceText;

// Every name leads to the same text: a file that includes or inherits anything includes itself.
void try_text(const std::string& text) {
  const auto filter = sandboxd::filters::load_filter("fuzz", [&](std::string_view name) -> Result<SourceText> {
    return SourceText{std::string(name) + ".json", text};
  });
  if (!filter.ok() && filter.error().message().empty()) std::abort();
  const auto profile =
      sandboxd::filters::load_profile("fuzz", [&](std::string_view name) -> Result<std::vector<SourceText>> {
        return std::vector<SourceText>{{std::string(name) + ".json", text}};
      });
  if (!profile.ok() && profile.error().message().empty()) std::abort();
  const auto config = sandboxd::profilec::parse_config(text, "sandboxd.json");
  if (!config.ok() && config.error().message().empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_text(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
