// A system call and the errno that it must fail with: what probe_calls reads, as it lies in memory.
#pragma once

namespace sandboxd::test {

struct CallRow {
  long number = 0;
  long error = 0;
  unsigned long long args[6] = {};
};

}  // namespace sandboxd::test
