#include "sandboxd-client/ctl/help.h"

namespace sandboxd::ctl {

std::string Help::make_usage(const CLI::App*, std::string) const { return "Usage: sandboxctl " + usage_ + "\n\n"; }

// A flag's default value is in CLI11's name for it: "--workspace{ro}".
std::string Help::make_option_name(const CLI::Option* option, bool is_positional) const {
  const std::string name = CLI::Formatter::make_option_name(option, is_positional);
  const std::size_t brace = name.find('{');
  return brace == std::string::npos ? name : name.substr(0, brace) + "[=VALUE]";
}

}  // namespace sandboxd::ctl
