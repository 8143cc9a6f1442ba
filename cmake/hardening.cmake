# Compiler and linker flags of every target. They are directory options, so that a target's own flags come after them and
# win: a program without libc turns off what needs one.

set(SANDBOXD_SANITIZE "" CACHE STRING "sanitizers, as a list: address;undefined | thread")

add_compile_options(-fno-omit-frame-pointer -fno-strict-aliasing)
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(SANDBOXD_SANITIZE)
  list(JOIN SANDBOXD_SANITIZE "," sanitizers)
  add_compile_options(-fsanitize=${sanitizers} -fno-sanitize-recover=all)
  # Coverage for the fuzzer is the compiler's business only; its run time comes with the fuzz target's own -fsanitize=fuzzer.
  string(REPLACE ",fuzzer-no-link" "" linked "${sanitizers}")
  add_link_options(-fsanitize=${linked})
else()
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -ffunction-sections -fdata-sections
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  add_link_options(-Wl,--gc-sections)
  # Indirect branches land on marked targets only (CET; BTI and PAC).
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    add_compile_options(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    add_compile_options(-mbranch-protection=standard)
  endif()
endif()
