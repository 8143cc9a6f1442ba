#include "daemon/wire/nesting.h"

#include "base/path.h"

namespace sandboxd::wire {

const std::string* writable_above(const JailPlan& plan, const Bind& bind) {
  if (bind.access != Access::kRo) return nullptr;
  for (const Tmpfs& tmpfs : plan.tmpfs) {
    if (is_beneath(bind.target, tmpfs.path)) return &tmpfs.path;
  }
  for (const Bind& other : plan.binds) {
    if (other.access != Access::kRo && is_beneath(bind.target, other.target)) return &other.target;
  }
  return nullptr;
}

}  // namespace sandboxd::wire
