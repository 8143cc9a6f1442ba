// What a jail-init that somebody has taken over can say of what it learned (wire/init_control.h, LearnedPart): parts of any kind
// and number, texts of any bytes. Beside memory faults this looks for files that are no JSON, that the profile compiler's bound
// on files refuses, that say more than the run had, or whose paths no profile may have.
//
// The input: parts, each of a kind, an id, a program, a number, a wide number and up to 96 bytes.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include <nlohmann/json.hpp>

#include "base/path.h"
#include "daemon/jails/learned.h"
#include "tests/fuzz/input.h"

namespace sandboxd::jails {
namespace {

constexpr std::size_t kMostFile = 1 << 20;

using fuzz::check;
using fuzz::Input;

wire::LearnedPart part_of(Input& input) {
  wire::LearnedPart part;
  part.kind = static_cast<wire::LearnedKind>(input.byte() % 8);
  part.id = input.number();
  part.program = input.number();
  part.a = input.number();
  part.b = static_cast<std::uint64_t>(input.number()) << (input.byte() % 33);
  const auto bytes = input.bytes(std::min<std::size_t>(input.byte(), sizeof part.bytes));
  if (!bytes.empty()) std::memcpy(&part.bytes[0], bytes.data(), bytes.size());
  return part;
}

wire::ProfileSet calls() {
  wire::ProfileSet set;
  set.calls = {{0, "read"}, {16, "ioctl"}, {41, "socket"}, {53, "socketpair"}, {157, "prctl"}, {257, "openat"}};
  return set;
}

wire::JailPlan plan_of() {
  wire::JailPlan plan;
  plan.profile = "learn";
  plan.binds = {{0, "/home/u/w", wire::Access::kRw, true}, {1, "/data", wire::Access::kRo, false}};
  plan.tmpfs = {{"/tmp", 4096, 16, 01777}};
  return plan;
}

void check_paths(const nlohmann::json& list, bool writable) {
  check(list.size() <= 64);
  for (const nlohmann::json& one : list) {
    const auto path = one.get<std::string>();
    const bool word = path == "@workspace" || (path == "@binds" && !writable);
    check(word || path == "/tmp" || (!writable && is_canonical_path(path)));
  }
}

void check_profile(const std::string& text) {
  check(text.size() < kMostFile);
  const auto profile = nlohmann::json::parse(text, nullptr, false);
  check(profile.is_object() && profile["users"].empty() && profile["learn"] == false && profile["inherits"] == "learn");
  const nlohmann::json& landlock = profile["landlock"];
  for (const auto& [key, list] : landlock.items()) {
    if (key.starts_with("tcp_")) check(list.size() <= 64);
    if (!key.starts_with("tcp_")) check_paths(list, key == "write");
  }
}

void check_filter(const std::string& text) {
  check(text.size() < kMostFile);
  const auto filter = nlohmann::json::parse(text, nullptr, false);
  check(filter.is_object() && filter["default"]["action"] == "errno");
  check(filter["rules"].size() > 2 && filter["rules"][0]["include"] == "refusals");
  for (const nlohmann::json& rule : filter["rules"]) check(rule.contains("include") || !rule["why"].empty());
}

}  // namespace
}  // namespace sandboxd::jails

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sandboxd::jails;
  Input input(data, size);
  Learned learned;
  while (!input.empty() && learned.take(part_of(input))) {
  }
  const auto files = learned_profile("mine", learned, {"tar", "\xff"}, plan_of(), calls());
  check_profile(files.profile);
  check_filter(files.filter);
  return 0;
}
