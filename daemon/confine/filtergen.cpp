// Runs at build time: the filters of our own programs, from filters/*.json to a header of sock_filter arrays, so that the
// programs link no libseccomp. A call's name that libseccomp doesn't know is an error, never a skip; one that this
// architecture lacks (open on aarch64) has no rule. What is neither allowed nor killed gets ENOSYS, so that a libc that tries
// a newer call first falls back.
//
//   filtergen [--sanitizers] DIRECTORY NAME... > header
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <linux/filter.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/result.h"
#include "base/text.h"

namespace sandboxd {
namespace {

using nlohmann::json;

const std::map<std::string, std::uint64_t> kConstants = {
    {"0", 0},
    {"AF_UNIX", AF_UNIX},
    {"PROT_EXEC", PROT_EXEC},
    {"CLONE_NEW_ANY",
     CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET},
    {"NS_GET_NSTYPE", NS_GET_NSTYPE},
    {"FIONREAD", FIONREAD},
    {"SIOCOUTQ", TIOCOUTQ},
    {"TIOCSWINSZ", TIOCSWINSZ},
};

struct Filter {
  std::string about{};
  std::vector<json> allow{};
  std::vector<json> kill{};
};

struct Context {
  Context() : filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) {}
  ~Context() { ::seccomp_release(filter); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  scmp_filter_ctx filter;
};

Result<std::uint64_t> constant(const json& arg, const char* key) {
  const auto found = kConstants.find(arg.at(key).get<std::string>());
  if (found == kConstants.end())
    return make_error("unknown constant {}", sandboxd::quoted(arg.at(key).get<std::string>()));
  return found->second;
}

Result<std::vector<scmp_arg_cmp>> conditions(const json& rule) {
  std::vector<scmp_arg_cmp> all;
  for (const json& arg : rule.value("args", json::array())) {
    const auto index = arg.at("index").get<unsigned>();
    if (arg.contains("mask")) {
      TRY_ASSIGN(const std::uint64_t mask, constant(arg, "mask"));
      TRY_ASSIGN(const std::uint64_t value, constant(arg, "is"));
      all.push_back(scmp_arg_cmp{index, SCMP_CMP_MASKED_EQ, mask, value});
      continue;
    }
    const char* key = arg.contains("not") ? "not" : "is";
    TRY_ASSIGN(const std::uint64_t value, constant(arg, key));
    all.push_back(scmp_arg_cmp{index, key[0] == 'n' ? SCMP_CMP_NE : SCMP_CMP_EQ, value, 0});
  }
  return all;
}

Status add_rule(scmp_filter_ctx filter, std::uint32_t action, const json& rule) {
  if (rule.value("why", "").empty()) return make_error("a rule says no why: {}", rule.dump());
  TRY_ASSIGN(const std::vector<scmp_arg_cmp> args, conditions(rule));
  for (const auto& name : rule.at("calls").get<std::vector<std::string>>()) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) return make_error("unknown system call {}", sandboxd::quoted(name));
    const int code = ::seccomp_rule_add_array(filter, action, number, static_cast<unsigned>(args.size()), args.data());
    if (code < 0) return sys_error_code(-code, "add a rule for {}", sandboxd::quoted(name));
  }
  return {};
}

Status load(const std::string& directory, const std::string& name, bool sanitizers, Filter& filter) {
  std::ifstream file(directory + "/" + name + ".json");
  const json data = json::parse(file);
  filter.about = data.at("about");
  std::vector<std::string> sections = {"allow"};
  if (sanitizers) sections.emplace_back("sanitizers");
  for (const auto& other : data.value("include", std::vector<std::string>())) {
    Filter included;
    TRY(load(directory, other, sanitizers, included).context("filter {}", sandboxd::quoted(other)));
    filter.allow.insert(filter.allow.end(), included.allow.begin(), included.allow.end());
    filter.kill.insert(filter.kill.end(), included.kill.begin(), included.kill.end());
  }
  for (const std::string& section : sections) {
    for (const json& rule : data.value(section, json::array())) filter.allow.push_back(rule);
  }
  for (const json& rule : data.value("kill", json::array())) filter.kill.push_back(rule);
  return {};
}

// A sanitizer needs some of what an attacker would call. Only where its list says so, without conditions.
json without_allowed(const json& rule, const std::set<std::string>& allowed) {
  json left = rule;
  left["calls"] = json::array();
  for (const auto& name : rule.at("calls").get<std::vector<std::string>>()) {
    if (!allowed.contains(name) || rule.contains("args")) left["calls"].push_back(name);
  }
  return left;
}

Status add_rules(scmp_filter_ctx filter, const Filter& rules) {
  std::set<std::string> allowed;
  for (const json& rule : rules.allow) {
    TRY(add_rule(filter, SCMP_ACT_ALLOW, rule));
    for (const auto& name : rule.at("calls").get<std::vector<std::string>>()) allowed.insert(name);
  }
  for (const json& rule : rules.kill) TRY(add_rule(filter, SCMP_ACT_KILL_PROCESS, without_allowed(rule, allowed)));
  return {};
}

Result<std::string> program_of(scmp_filter_ctx filter) {
  // A call by another architecture's numbers (i386, x32) has no other use than to get past these rules.
  if (::seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0)
    return make_error("set the action for other architectures");
  if (::seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0) return make_error("ask for a binary tree");
  const UniqueFd out(::memfd_create("filter", MFD_CLOEXEC));
  if (!out) return sys_error("memfd_create");
  if (const int code = ::seccomp_export_bpf(filter, out.get()); code < 0)
    return sys_error_code(-code, "export the filter");
  if (::lseek(out.get(), 0, SEEK_SET) < 0) return sys_error("lseek");
  return read_fd(out.get());
}

Status emit(const std::string& directory, const std::string& name, bool sanitizers) {
  Filter rules;
  TRY(load(directory, name, sanitizers, rules));
  const Context context;
  if (context.filter == nullptr) return make_error("seccomp_init");
  TRY(add_rules(context.filter, rules));
  TRY_ASSIGN(const std::string program, program_of(context.filter));
  std::string upper = name;
  upper[0] = static_cast<char>(upper[0] - 'a' + 'A');
  fmt::print("// {}.\ninline constexpr sock_filter k{}Filter[] = {{\n", rules.about, upper);
  for (std::size_t at = 0; at + sizeof(sock_filter) <= program.size(); at += sizeof(sock_filter)) {
    sock_filter one{};
    __builtin_memcpy(&one, program.data() + at, sizeof one);
    fmt::print("    {{{:#06x}, {}, {}, {:#010x}}},\n", one.code, one.jt, one.jf, one.k);
  }
  fmt::print("}};\n\n");
  return {};
}

int run(std::vector<std::string> arguments) {
  const bool sanitizers = arguments.front() == "--sanitizers";
  if (sanitizers) arguments.erase(arguments.begin());
  fmt::print(
      "// Made by filtergen from filters/*.json at build time; not to be edited.\n#pragma once\n\n#include "
      "<linux/filter.h>\n\n");
  fmt::print("namespace sandboxd::filters {{\n\n");
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const Status done =
        emit(arguments[0], arguments[i], sanitizers).context("filter {}", sandboxd::quoted(arguments[i]));
    if (!done.ok()) {
      fmt::print(stderr, "filtergen: {}\n", done.error().message());
      return 1;
    }
  }
  fmt::print("}}  // namespace sandboxd::filters\n");
  return 0;
}

}  // namespace
}  // namespace sandboxd

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: filtergen [--sanitizers] DIRECTORY NAME...\n");
    return 2;
  }
  try {
    return sandboxd::run({argv + 1, argv + argc});
  } catch (const std::exception& problem) {  // nlohmann's own, which names the place in the file
    fmt::print(stderr, "filtergen: {}\n", problem.what());
    return 1;
  }
}
