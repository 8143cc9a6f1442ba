// The command line of sandboxctl: the verb, its options, what follows them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sandboxd-client/ctl/options.h"

namespace sandboxd::ctl {

// Does what the words (without the program's name) say. Returns the exit status; a mistake is one line on standard error.
int run_command_line(std::vector<std::string> words);

// The words as the options that `add` names: what is wrong with them, or nothing.
std::optional<std::string> parse_options(const std::function<void(Options&)>& add, std::vector<std::string> words);

}  // namespace sandboxd::ctl
