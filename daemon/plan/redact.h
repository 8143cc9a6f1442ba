// What is neither shown nor recorded of arguments and variables: the values of names that the profile's `redaction` has. Pure.
// It keeps what people and programs pass by the usual ways out of records and listings. It is no boundary: a secret under another
// name, or in another form, is not known for one, and the job itself gets all as it was.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sandboxd::plan {

inline constexpr std::string_view kHidden = "[hidden]";
// Of an argv so many bytes are looked at and shown at most; what is beyond is left out.
inline constexpr std::size_t kMostShown = 64U << 10;

// A pattern's `*` stands for any text; case doesn't count, and '-' and '.' are as good as '_': API_KEY is api-key too.
[[nodiscard]] bool is_hidden_name(std::span<const std::string> patterns, std::string_view name);

// Of each "NAME=value".
[[nodiscard]] std::vector<std::string> shown_env(std::span<const std::string> patterns,
                                                 const std::vector<std::string>& env);

// NAME=value, --name=value, "--name value" (in one argument or two), "Name: value" and "name": "value", within an argument too;
// and whatever was hidden so, or is the value of such a variable, wherever else it stands, where it is eight bytes long or more.
[[nodiscard]] std::vector<std::string> shown_argv(std::span<const std::string> patterns,
                                                  const std::vector<std::string>& argv,
                                                  const std::vector<std::string>& env);

}  // namespace sandboxd::plan
