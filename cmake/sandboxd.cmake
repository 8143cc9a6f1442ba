# What every target has: warnings as errors, hardening, the include root, and the functions that make a target a folder.

option(SANDBOXD_TESTS "build the tests and benchmarks" ON)
option(SANDBOXD_FAULT "fault points and test-only profile keys; never shipped" OFF)
set(SANDBOXD_SANITIZE "" CACHE STRING "address;undefined | thread | fuzzer ...")

find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(Threads REQUIRED)

add_library(sandboxd_options INTERFACE)
target_include_directories(sandboxd_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(sandboxd_options INTERFACE _GNU_SOURCE SANDBOXD_VERSION="${PROJECT_VERSION}"
  $<$<BOOL:${SANDBOXD_FAULT}>:SANDBOXD_FAULT=1>)
target_compile_options(sandboxd_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
  -fvisibility=hidden)

# sandboxd_library(name SOURCES a.cpp ... LINK base ...): a static library, one a folder.
function(sandboxd_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC sandboxd_options ${arg_LINK})
endfunction()

# sandboxd_program(name SOURCES ... LINK ...): a program in build/PRESET/bin. STATIC links it statically where no sanitizer
# is on (a sanitizer refuses): its start and its fork cost less.
function(sandboxd_program name)
  cmake_parse_arguments(arg "STATIC" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE sandboxd_options ${arg_LINK})
  if(arg_STATIC AND NOT SANDBOXD_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie)
    target_compile_options(${name} PRIVATE -fPIE)
  endif()
endfunction()
