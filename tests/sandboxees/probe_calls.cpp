// Makes the calls of a file of CallRow, each with its arguments, and says which were not refused with the errno that the row has.
//
//   probe_calls FILE
#include <cerrno>
#include <cstdio>

#include <unistd.h>

#include "tests/sandboxees/call_row.h"

int main(int argc, char** argv) {
  std::FILE* rows = argc == 2 ? std::fopen(argv[1], "r") : nullptr;
  if (rows == nullptr) {
    std::perror("probe_calls");
    return 2;
  }
  sandboxd::test::CallRow row;
  unsigned long made = 0, wrong = 0;
  while (std::fread(&row, sizeof row, 1, rows) == 1) {
    errno = 0;
    const auto* a = row.args;
    const long result = syscall(row.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    ++made;
    if (result == -1 && errno == row.error) continue;
    if (++wrong > 50) continue;
    std::printf("call %ld(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx): %ld, errno %d and not %ld\n", row.number, a[0],
                a[1], a[2], a[3], a[4], a[5], result, errno, row.error);
  }
  std::printf("%lu made, %lu wrong\n", made, wrong);
  return wrong == 0 ? 0 : 1;
}
