// The options of a verb, without CLI11's headers: they are in parse.cpp alone, since each file that has them pays for them
// when the program starts. A reference must outlive the parse. `type` is what the help calls the value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own name
class App;
}

namespace sandboxd::ctl {

class Options {
 public:
  explicit Options(CLI::App& app) : app_(app) {}

  void flag(const char* name, bool& value, const char* help);
  // A flag that may have a value after '=' ("--workspace=rw"), but not in a word of its own.
  void flag_or_value(const char* name, const char* without, std::string& value, const char* help);
  void text(const char* name, std::optional<std::string>& value, const char* type, const char* help);
  void text(const char* name, std::string& value, const char* type, const char* help);  // the help shows the default
  void number(const char* name, std::uint64_t& value, const char* type, const char* help);
  void choice(const char* name, std::string& value, std::vector<std::string> choices, const char* help);
  void list(const char* name, std::vector<std::string>& values, const char* type, const char* help);  // may be repeated
  // One that others have and this verb can't: whoever gives it hears why. Not in the help.
  void refused(const char* name, const char* why);
  void argument(const char* name, std::string& value, const char* help);                        // must be there
  void optional_argument(const char* name, std::vector<std::string>& value, const char* help);  // none or one

 private:
  CLI::App& app_;
};

}  // namespace sandboxd::ctl
