// The --help of a verb: CLI11's, with the verb's own usage line.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace sandboxd::ctl {

class Help : public CLI::Formatter {
 public:
  explicit Help(std::string usage) : usage_(std::move(usage)) { column_width(36); }
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override;

 private:
  std::string usage_;
};

}  // namespace sandboxd::ctl
