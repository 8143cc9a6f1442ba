# The functions that make a target of a folder, and what every target has.

option(SANDBOXD_TESTS "build the tests and benchmarks" ON)
option(SANDBOXD_FAULT "fault points and test-only profile keys; never shipped" OFF)
option(SANDBOXD_FUZZ "build the libFuzzer targets (clang only)" OFF)

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
  else()
    target_link_options(${name} PRIVATE -pie)
  endif()
endfunction()

# sandboxd_fuzz(name SOURCES fuzz_x.cpp LINK lib ... [CORPUS dir]): a libFuzzer target and a ctest test of label fuzz, that runs it for
# SANDBOXD_FUZZ_SECONDS (environment, default 15). CORPUS: a folder of seed inputs, read only. Nothing in other presets.
function(sandboxd_fuzz name)
  if(NOT SANDBOXD_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LINK" ${ARGN})
  if(NOT TARGET fuzz-targets)
    add_custom_target(fuzz-targets)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE sandboxd_options ${arg_LINK})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzz-targets ${name})
  if(arg_CORPUS)
    get_filename_component(corpus ${arg_CORPUS} ABSOLUTE)
  endif()
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/run.sh $<TARGET_FILE:${name}> ${corpus})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 3600)
endfunction()
