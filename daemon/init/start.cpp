// What libc would do for us: the entry point, the four functions that a compiler may call, nothing else.
// Under a sanitizer libc is linked after all.
#include "base/sys.h"
#include "daemon/init/init.h"

#if !defined(SANDBOXD_INIT_WITH_LIBC)
extern "C" {

void* memcpy(void* to, const void* from, std::size_t size) {
  auto* t = static_cast<unsigned char*>(to);
  const auto* f = static_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < size; ++i) {
    t[i] = f[i];
    __asm__ volatile("" ::: "memory");  // or the compiler makes this loop a call of memcpy
  }
  return to;
}
void* memmove(void* to, const void* from, std::size_t size) {
  auto* t = static_cast<unsigned char*>(to);
  const auto* f = static_cast<const unsigned char*>(from);
  if (t <= f) return memcpy(to, from, size);
  for (std::size_t i = size; i > 0; --i) {
    t[i - 1] = f[i - 1];
    __asm__ volatile("" ::: "memory");
  }
  return to;
}
void* memset(void* to, int value, std::size_t size) {
  auto* t = static_cast<unsigned char*>(to);
  for (std::size_t i = 0; i < size; ++i) {
    t[i] = static_cast<unsigned char>(value);
    __asm__ volatile("" ::: "memory");
  }
  return to;
}
int memcmp(const void* a, const void* b, std::size_t size) {
  const auto* x = static_cast<const unsigned char*>(a);
  const auto* y = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < size; ++i) {
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return 0;
}
std::size_t strlen(const char* text) {
  std::size_t size = 0;
  while (text[size] != '\0') {
    ++size;
    __asm__ volatile("" ::: "memory");
  }
  return size;
}

[[noreturn]] void sandboxd_init_start() {
  sandboxd::init::run();
  __builtin_unreachable();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  and $-16, %rsp\n  call sandboxd_init_start\n  hlt\n");
#else
__asm__(".globl _start\n_start:\n  mov x29, #0\n  mov x30, #0\n  bl sandboxd_init_start\n  brk #1\n");
#endif

}  // extern "C"
#else
int main() { sandboxd::init::run(); }
#endif
