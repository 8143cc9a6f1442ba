#include "tests/unit/seccomp-profiles/bpf_machine.h"

#include <array>
#include <cstddef>

#include <gtest/gtest.h>

namespace sandboxd::filters {
namespace {

sock_filter statement(std::uint16_t code, std::uint32_t k) { return {code, 0, 0, k}; }

TEST(BpfMachine, FollowsJumpsByTheAccumulator) {
  const std::array program = {statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                              sock_filter{BPF_JMP | BPF_JGE | BPF_K, 1, 0, 10}, statement(BPF_RET | BPF_K, 1),
                              statement(BPF_RET | BPF_K, 2)};
  seccomp_data data{};
  data.nr = 9;
  EXPECT_EQ(run_bpf(program, data), 1U);
  data.nr = 10;
  EXPECT_EQ(run_bpf(program, data), 2U);
}

TEST(BpfMachine, MasksBeforeItCompares) {
  const std::array program = {
      statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args) + 4), statement(BPF_ALU | BPF_AND | BPF_K, 0xF0),
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x10}, statement(BPF_RET | BPF_K, 1), statement(BPF_RET | BPF_K, 2)};
  seccomp_data data{};
  data.args[0] = 0x1F00000000;
  EXPECT_EQ(run_bpf(program, data), 1U);
  data.args[0] = 0x2F00000000;
  EXPECT_EQ(run_bpf(program, data), 2U);
}

TEST(BpfMachine, RefusesToRunOffTheEnd) {
  const std::array program = {statement(BPF_JMP | BPF_JA, 5)};
  EXPECT_EQ(run_bpf(program, {}), std::nullopt);
}

TEST(BpfMachine, RefusesAnUnalignedLoad) {
  const std::array program = {statement(BPF_LD | BPF_W | BPF_ABS, 2), statement(BPF_RET | BPF_K, 0)};
  EXPECT_EQ(run_bpf(program, {}), std::nullopt);
}

}  // namespace
}  // namespace sandboxd::filters
