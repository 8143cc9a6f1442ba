#include "base/bpf.h"

#include <array>

#include <gtest/gtest.h>

namespace sandboxd {
namespace {

seccomp_data call(int number, std::uint64_t first = 0) {
  seccomp_data data{};
  data.nr = number;
  data.args[0] = first;
  return data;
}

constexpr sock_filter load(std::size_t offset) {
  return {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset)};
}
constexpr sock_filter ret(std::uint32_t value) { return {BPF_RET | BPF_K, 0, 0, value}; }

TEST(Bpf, AnswersByTheNumber) {
  const std::array program = {load(offsetof(seccomp_data, nr)), sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7},
                              ret(SECCOMP_RET_ERRNO | 1), ret(SECCOMP_RET_ALLOW)};
  EXPECT_EQ(run_filter(program, call(7)), SECCOMP_RET_ERRNO | 1U);
  EXPECT_EQ(run_filter(program, call(8)), SECCOMP_RET_ALLOW);
}

TEST(Bpf, LooksAtArgumentsWithMasksAndRanges) {
  const std::array program = {load(offsetof(seccomp_data, args)),
                              sock_filter{BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xFF},
                              sock_filter{BPF_JMP | BPF_JGT | BPF_K, 0, 1, 0x10},
                              ret(1),
                              sock_filter{BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x1},
                              ret(2),
                              sock_filter{BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x10},
                              ret(3),
                              ret(4)};
  EXPECT_EQ(run_filter(program, call(0, 0xF11)), 1U);
  EXPECT_EQ(run_filter(program, call(0, 0xF01)), 2U);
  EXPECT_EQ(run_filter(program, call(0, 0x10)), 3U);
  EXPECT_EQ(run_filter(program, call(0, 0x2)), 4U);
}

TEST(Bpf, JumpsAheadWithoutACondition) {
  const std::array program = {sock_filter{BPF_JMP | BPF_JA, 0, 0, 1}, ret(1), ret(2)};
  EXPECT_EQ(run_filter(program, call(0)), 2U);
}

TEST(Bpf, TheUpperHalfOfAnArgumentIsAWordOfItsOwn) {
  const std::array program = {load(offsetof(seccomp_data, args) + 4),
                              sock_filter{BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xF0},
                              sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0x10}, ret(1), ret(2)};
  EXPECT_EQ(run_filter(program, call(0, 0x1F00000000)), 1U);
  EXPECT_EQ(run_filter(program, call(0, 0x2F00000000)), 2U);
}

TEST(Bpf, WhatItDoesNotKnowHasNoAnswer) {
  const std::array past_the_end = {sock_filter{BPF_JMP | BPF_JA, 0, 0, ~0U}, ret(SECCOMP_RET_ALLOW)};
  const std::array unknown = {sock_filter{BPF_LD | BPF_IMM, 0, 0, 0}, ret(SECCOMP_RET_ALLOW)};
  const std::array outside = {load(sizeof(seccomp_data)), ret(SECCOMP_RET_ALLOW)};
  const std::array askew = {load(2), ret(SECCOMP_RET_ALLOW)};
  for (const auto& program : {past_the_end, unknown, outside, askew})
    EXPECT_EQ(run_filter(program, call(0)), std::nullopt);
  EXPECT_EQ(run_filter({}, call(0)), std::nullopt);
}

}  // namespace
}  // namespace sandboxd
