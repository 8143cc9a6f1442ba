#include "seccomp-profiles/compiler/samples.h"

#include <set>
#include <vector>

namespace sandboxd::filters {
namespace {

// Values around everything that the conditions of a call mention, with and without high bits.
std::vector<std::vector<std::uint64_t>> interesting_args(const BoundCall& call) {
  std::vector<std::set<std::uint64_t>> values(6, {0, 1, 0xFFFFFFFF, UINT64_MAX});
  for (const Rule* rule : call.rules) {
    for (const Condition& condition : rule->when) {
      auto& all = values[condition.arg];
      for (const std::uint64_t value : condition.values)
        all.insert({value, value + 1, value - 1, value | ~condition.mask});
      for (unsigned i = 0; i < 64; ++i) {
        if ((condition.mask >> i & 1) != 0) all.insert({1ULL << i, condition.mask & ~(1ULL << i)});
      }
      all.insert({condition.mask, ~condition.mask});
    }
  }
  std::vector<std::vector<std::uint64_t>> lists;
  for (const auto& all : values) {
    std::set<std::uint64_t> widened;
    for (const std::uint64_t value : all) widened.insert({value, value | 1ULL << 32, value & 0xFFFFFFFF});
    lists.emplace_back(widened.begin(), widened.end());
  }
  return lists;
}

void tested_args(const BoundCall& call, std::set<std::uint8_t>& used) {
  for (const Rule* rule : call.rules) {
    for (const Condition& condition : rule->when) used.insert(condition.arg);
  }
}

}  // namespace

void for_each_args(const BoundCall& call, const std::function<void(const Args&)>& each) {
  const auto lists = interesting_args(call);
  std::set<std::uint8_t> used;
  tested_args(call, used);
  const std::vector<std::uint8_t> positions(used.begin(), used.end());
  const std::function<void(std::size_t, Args)> choose = [&](std::size_t depth, Args args) {
    if (depth == positions.size()) return each(args);
    for (const std::uint64_t value : lists[positions[depth]]) {
      args[positions[depth]] = value;
      choose(depth + 1, args);
    }
  };
  choose(0, Args{7, 7, 7, 7, 7, 7});
}

}  // namespace sandboxd::filters
