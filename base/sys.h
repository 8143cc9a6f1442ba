// System calls without libc: each returns what the kernel does, a value or -errno, and touches neither errno nor thread-local
// storage. For jail-init (which links no libc: half of a static glibc's start is spent on cpuid, which traps under a
// hypervisor) and for children that share their parent's memory (clone(2) with CLONE_VM), where errno would be shared.
#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/syscall.h>

namespace sandboxd::sys {

#if defined(__x86_64__)
inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept {
  long result = 0;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "x86-64 and aarch64 only"
#endif

template <class T> long arg(T value) noexcept { return static_cast<long>(value); }
template <class T> long arg(T* value) noexcept { return reinterpret_cast<long>(value); }
inline long arg(decltype(nullptr)) noexcept { return 0; }

// sys::raw(SYS_openat, AT_FDCWD, "/", O_RDONLY)
template <class... A> long raw(long number, A... a) noexcept { return call(number, arg(a)...); }

// clone(2) for a child on a stack of its own that runs `run(argument)` and never returns from it. Returns the child's pid
// (in the caller's pid namespace) or -errno, in the parent only. `stack_top` is 16-byte aligned.
// The child finds `run` and `argument` on its own stack; it must not return into the parent's frames.
inline long clone_on_stack(unsigned long flags, void* stack_top, int* child_tid, void (*run)(void*),
                           void* argument) noexcept {
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
      "pop %%rax\n"  // run
      "pop %%rdi\n"  // argument; the stack is 16-byte aligned again before the call
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
