#include "daemon/wire/nesting.h"

#include <gtest/gtest.h>

namespace sandboxd::wire {
namespace {

struct Case {
  const char* target;
  Access access;
  const char* above;  // "" for none
};

TEST(Nesting, FindsTheWritablePlaceAboveAReadOnlyBind) {
  for (const Case& row : {Case{"/tmp/ws", Access::kRo, "/tmp"}, Case{"/tmp/a/b/c", Access::kRo, "/tmp"},
                          Case{"/home/a/rw/x", Access::kRo, "/home/a/rw"}, Case{"/tmp/ws", Access::kRw, ""},
                          Case{"/work", Access::kRo, ""}, Case{"/tmpx/ws", Access::kRo, ""},
                          Case{"/home/a", Access::kRo, ""}, Case{"/home/a/ro/x", Access::kRo, ""}}) {
    JailPlan plan;
    plan.tmpfs = {{"/tmp", 1, 1, 01777}};
    plan.binds = {{.fd = 0, .target = "/home/a/rw", .access = Access::kRw},
                  {.fd = 1, .target = "/home/a/ro", .access = Access::kRo},
                  {.fd = 2, .target = row.target, .access = row.access}};
    const std::string* above = writable_above(plan, plan.binds.back());
    EXPECT_EQ(above == nullptr ? "" : *above, row.above) << row.target;
  }
}

}  // namespace
}  // namespace sandboxd::wire
