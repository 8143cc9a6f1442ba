// What each layer of a jail stops: every row of checks.h in jails that lack one layer, in jails that have but one, and in jails
// without any (the preset `fault` can make such). No layer is for nothing, and what a single one stops is counted.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/launcher/fault.h"
#include "tests/escape/checks.h"
#include "tests/escape/report.h"

namespace sandboxd::test {
namespace {

using launcher::kLayerNames;
using launcher::Layer;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr auto kLayers = static_cast<std::size_t>(Layer::kReadBack);  // those before it
// As many tries as one layer alone stops. Fewer is better: then lower it.
constexpr std::size_t kStoppedByOneLayer = 128;

using Row = std::string;                                   // "E17 ProcAndSysRead"
using Seen = std::map<Row, std::map<std::string, Tried>>;  // the tries of each

std::string all_but(std::initializer_list<std::size_t> kept) {
  std::string words;
  for (std::size_t i = 0; i < kLayers; ++i) {
    if (std::ranges::find(kept, i) == kept.end()) words += std::string(kLayerNames[i]) + " ";
  }
  return words + "read-back";
}

Row name_of(const Check& check) { return fmt::format("{} {}", check.id, check.name); }

// Of the rows whose jail starts, the tries that the jail made.
Seen look(const std::string& without) {
  Seen seen;
  const Stack stack("", without);
  EXPECT_EQ(stack.failure(), "") << without;
  Ground ground(stack);
  for (const Check& check : checks()) {
    const Output output = ground.inside(check, "default");
    const Tries tries = ground.tries(output);
    EXPECT_FALSE(tries.empty()) << name_of(check) << " without " << without << ": " << describe(output);
    for (const auto& [name, tried] : tries) seen[name_of(check)][name] = tried;
  }
  return seen;
}

bool holds(const Seen& seen, const Row& row, const std::string& name) {
  const auto found = seen.find(row);
  if (found == seen.end()) return false;
  const auto one = found->second.find(name);
  return one != found->second.end() && !one->second.through;
}

std::string outcome(const Seen& seen, const Row& row, const std::string& name) {
  const auto found = seen.find(row);
  if (found == seen.end() || !found->second.contains(name)) return "not tried";
  const Tried& tried = found->second.at(name);
  return tried.through ? "through" : tried.detail;
}

struct Matrix {
  Seen whole, none;
  std::array<Seen, kLayers> lacking{}, only{};
};

Matrix measure() {
  Matrix matrix{.whole = look(""), .none = look(all_but({}))};
  for (std::size_t i = 0; i < kLayers; ++i) {
    matrix.lacking[i] = look(std::string(kLayerNames[i]) + " read-back");
    matrix.only[i] = look(all_but({i}));
  }
  return matrix;
}

json layers_of(const Matrix& matrix, const Row& row, const std::string& name) {
  json stops = json::array();
  for (std::size_t i = 0; i < kLayers; ++i) {
    if (holds(matrix.only[i], row, name)) stops.push_back(kLayerNames[i]);
  }
  return stops;
}

TEST(EscapeLayers, EachStopsSomethingAndFewThingsHaveOneOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the daemon";
  const Matrix matrix = measure();
  json report = {{"kernel", kernel_release()}, {"rows", json::object()}};
  std::vector<std::string> single;
  std::array<int, kLayers> changed{};
  for (const auto& [row, tries] : matrix.whole) {
    for (const auto& [name, tried] : tries) {
      EXPECT_FALSE(tried.through) << row << ": " << name;
      const bool base = holds(matrix.none, row, name);
      const json stops = layers_of(matrix, row, name);
      json& cell = report["rows"][row][name] = {
          {"base", base}, {"alone", stops}, {"answered", json::array()}, {"needed", json::array()}};
      for (std::size_t i = 0; i < kLayers; ++i) {
        const std::string without = outcome(matrix.lacking[i], row, name);
        if (without != tried.detail) {
          ++changed[i];
          cell["answered"].push_back(kLayerNames[i]);
        }
        if (without == "through") cell["needed"].push_back(kLayerNames[i]);
      }
      if (!base && !cell["needed"].empty())
        single.push_back(fmt::format("{} {}: {}", row, name, cell["needed"].dump()));
    }
  }
  for (std::size_t i = 0; i < kLayers; ++i) {
    report["changed"][kLayerNames[i]] = changed[i];
    if (static_cast<Layer>(i) == Layer::kCgroup && !has_controller("pids")) continue;  // this host has none to lack
    EXPECT_GT(changed[i], 0) << kLayerNames[i] << ": without it nothing is otherwise";
  }
  write_report("layers", report);
  fmt::print("stopped by one layer only: {}\n{}\n", single.size(), fmt::join(single, "\n"));
  EXPECT_LE(single.size(), kStoppedByOneLayer);
}

// A layer that is missing by a mistake of ours: nothing of the job runs.
class ReadBack : public ::testing::TestWithParam<Layer> {};

TEST_P(ReadBack, RefusesAJailThatLacksALayer) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the daemon";
  const Stack stack("", kLayerNames[static_cast<std::size_t>(GetParam())]);
  ASSERT_EQ(stack.failure(), "");
  const Output output = stack.ctl(kAlice, {"run", "--", "echo", "ran"});
  EXPECT_EQ(output.status, 125) << describe(output);
  EXPECT_EQ(output.out, "");
  EXPECT_THAT(output.err, HasSubstr("failed at 'read-back'"));
  EXPECT_THAT(output.err, HasSubstr("in the kernel, the plan wants"));
}

INSTANTIATE_TEST_SUITE_P(Sees, ReadBack,
                         ::testing::Values(Layer::kNamespaces, Layer::kCapabilities, Layer::kLandlock, Layer::kMounts,
                                           Layer::kIds),
                         [](const auto& one) { return kLayerNames[static_cast<std::size_t>(one.param)]; });

}  // namespace
}  // namespace sandboxd::test
