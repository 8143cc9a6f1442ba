// What libc would do for us: the entry point, the four functions that a compiler may call, and clone(2) on a new stack.
// Under a sanitizer libc is linked after all; then only clone_on_stack is taken from here.
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

namespace sandboxd::sys {

// The child finds `run` and `argument` on its own stack; it must not return into the parent's frames.
long clone_on_stack(unsigned long flags, void* stack_top, int* child_tid, void (*run)(void*), void* argument) noexcept {
  auto* top = static_cast<void**>(stack_top);
  *--top = argument;
  *--top = reinterpret_cast<void*>(run);
#if defined(__x86_64__)
  long result = 0;
  register long r10 __asm__("r10") = reinterpret_cast<long>(child_tid);
  register long r8 __asm__("r8") = 0;
  __asm__ volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "xor %%ebp, %%ebp\n"
      "pop %%rax\n"   // run
      "pop %%rdi\n"   // argument; the stack is 16-byte aligned again before the call
      "call *%%rax\n"
      "hlt\n"
      "1:\n"
      : "=a"(result)
      : "a"(SYS_clone), "D"(flags), "S"(top), "d"(0L), "r"(r10), "r"(r8)
      : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = SYS_clone;
  register long x0 __asm__("x0") = static_cast<long>(flags);
  register long x1 __asm__("x1") = reinterpret_cast<long>(top);
  register long x2 __asm__("x2") = 0;
  register long x3 __asm__("x3") = 0;
  register long x4 __asm__("x4") = reinterpret_cast<long>(child_tid);
  __asm__ volatile(
      "svc 0\n"
      "cbnz x0, 1f\n"
      "mov x29, #0\n"
      "ldp x9, x0, [sp], #16\n"
      "blr x9\n"
      "brk #1\n"
      "1:\n"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
      : "x9", "x29", "x30", "memory");
  return x0;
#endif
}

}  // namespace sandboxd::sys
