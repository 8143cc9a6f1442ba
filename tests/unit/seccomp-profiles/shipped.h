// The shipped filters, as the tests use them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "seccomp-profiles/compiler/bind.h"
#include "seccomp-profiles/compiler/emit.h"
#include "seccomp-profiles/compiler/samples.h"
#include "seccomp-profiles/model/filter.h"

namespace sandboxd::filters {

// The files of seccomp-profiles/filters.
Loader shipped_loader();
// Files that exist in a test only.
Loader loader_of(std::map<std::string, std::string> files);
// Every file of that folder that is a whole filter, sorted: a new one is tested without being listed anywhere.
std::vector<std::string> shipped_filters();
Filter shipped_filter(const std::string& name);  // fails the test when it can't be loaded

struct Compiled {
  Filter filter{};
  BoundFilter bound{};
  std::vector<sock_filter> program{};

  // What the compiled program answers: a SECCOMP_RET_ value.
  [[nodiscard]] std::uint32_t run(std::uint32_t number, const Args& args) const;
  [[nodiscard]] std::uint32_t run_as(std::uint32_t audit_arch, std::uint32_t number, const Args& args) const;
};
// A pointer, since `bound` points at `filter`.
std::unique_ptr<Compiled> compile(Filter filter, Arch arch, const std::string& unix_sockets = "none");

std::uint32_t audit_arch(Arch arch);
std::uint32_t number_of(Arch arch, const std::string& name);  // fails the test when there is none
std::uint32_t ret_of(const Action& action);
std::uint32_t ret_errno(int code);

}  // namespace sandboxd::filters
