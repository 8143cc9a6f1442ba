#include "tests/unit/seccomp-profiles/shipped.h"

#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <gtest/gtest.h>

#include "base/bpf.h"
#include "base/file.h"
#include "seccomp-profiles/compiler/syscalls.h"

namespace sandboxd::filters {
Loader shipped_loader() {
  return [](std::string_view name) -> Result<SourceText> {
    const std::string path = fmt::format("{}/seccomp-profiles/filters/{}.json", SANDBOXD_SOURCE_DIR, name);
    TRY_ASSIGN(std::string text, read_file(AT_FDCWD, path));
    return SourceText{path, std::move(text)};
  };
}

Loader loader_of(std::map<std::string, std::string> files) {
  return [files = std::move(files)](std::string_view name) -> Result<SourceText> {
    const auto file = files.find(std::string(name));
    if (file == files.end()) return sys_error_code(ENOENT, "open '{}.json'", name);
    return SourceText{file->first + ".json", file->second};
  };
}

std::vector<std::string> shipped_filters() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(SANDBOXD_SOURCE_DIR) + "/seccomp-profiles/filters")) {
    const Result<std::string> text = read_file(AT_FDCWD, entry.path().string());
    if (text.ok() && text->find("\"default\": {") != std::string::npos) names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

Filter shipped_filter(const std::string& name) {
  Result<Filter> filter = load_filter(name, shipped_loader());
  EXPECT_TRUE(filter.ok()) << filter.error().message();
  return filter.ok() ? std::move(filter).value() : Filter{};
}

std::uint32_t Compiled::run(std::uint32_t number, const Args& args) const {
  return run_as(audit_arch(bound.arch), number, args);
}

std::uint32_t Compiled::run_as(std::uint32_t arch, std::uint32_t number, const Args& args) const {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  std::copy(args.begin(), args.end(), data.args);
  const auto verdict = run_filter(program, data);
  EXPECT_TRUE(verdict.has_value()) << "the program is not valid";
  return verdict.value_or(SECCOMP_RET_KILL_THREAD);
}

std::unique_ptr<Compiled> compile(Filter filter, Arch arch, const std::string& unix_sockets) {
  auto compiled = std::make_unique<Compiled>();
  compiled->filter = std::move(filter);
  Result<BoundFilter> bound = bind_filter(compiled->filter, arch, {{"unix_sockets", unix_sockets}});
  EXPECT_TRUE(bound.ok()) << bound.error().message();
  if (!bound.ok()) return compiled;
  compiled->bound = std::move(bound).value();
  Result<std::vector<sock_filter>> program = emit_bpf(compiled->bound);
  EXPECT_TRUE(program.ok()) << program.error().message();
  if (program.ok()) compiled->program = std::move(program).value();
  return compiled;
}

std::uint32_t audit_arch(Arch arch) { return arch == Arch::kX86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64; }

std::uint32_t number_of(Arch arch, const std::string& name) {
  const auto number = syscall_number(arch, name);
  EXPECT_TRUE(number.has_value()) << to_text(arch) << " has no " << name;
  return number.value_or(UINT32_MAX);
}

std::uint32_t ret_of(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAllow: return SECCOMP_RET_ALLOW;
    case Action::Kind::kErrno: return ret_errno(action.error);
    case Action::Kind::kKillProcess: return SECCOMP_RET_KILL_PROCESS;
  }
  return SECCOMP_RET_KILL_THREAD;
}

std::uint32_t ret_errno(int code) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(code); }

}  // namespace sandboxd::filters
