#include "tests/support/probes.h"

#include <sstream>

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace sandboxd::test {

Tries parse_probe(const Output& output) {
  Tries tries;
  std::istringstream lines(output.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string verdict, name, detail;
    words >> verdict >> name;
    std::getline(words >> std::ws, detail);
    if (verdict != "through" && verdict != "refused") continue;
    while (!detail.empty() && detail.back() == ' ') detail.pop_back();
    Tried& tried = tries[name];
    // Of several tries under one name, one that got through is enough.
    if (!tried.through) tried = {verdict == "through", detail};
  }
  return tries;
}

void expect_refused(const Output& jail, const Output& control, std::initializer_list<std::string_view> shown) {
  const Tries inside = parse_probe(jail);
  const Tries outside = parse_probe(control);
  EXPECT_EQ(jail.status, 1) << "in the jail: " << describe(jail);
  EXPECT_FALSE(inside.empty()) << describe(jail);
  EXPECT_EQ(control.status, 0) << "the control: " << describe(control);
  for (const auto& [name, tried] : inside) EXPECT_FALSE(tried.through) << "got out: " << name << " " << tried.detail;
  for (const std::string_view name : shown) {
    const auto found = outside.find(std::string(name));
    ASSERT_NE(found, outside.end()) << "the control did not try " << name << ": " << describe(control);
    EXPECT_TRUE(found->second.through) << "refused outside too (" << found->second.detail
                                       << "), so nothing is shown: " << name;
    EXPECT_TRUE(inside.contains(std::string(name))) << "the jail did not try " << name << ": " << describe(jail);
  }
  std::string silent;
  for (const auto& [name, tried] : outside) {
    if (!tried.through && inside.contains(name)) silent += fmt::format(" {}({})", name, tried.detail);
  }
  if (!silent.empty()) fmt::print("not shown on this host:{}\n", silent);
}

}  // namespace sandboxd::test
