#include "daemon/jails/refusals.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <linux/audit.h>
#include <sys/socket.h>

#include "base/bpf.h"
#include "base/clock.h"
#include "base/limit_text.h"
#include "base/result.h"
#include "base/text.h"

namespace sandboxd::jails {
namespace {

using protocol::Denial;
using protocol::DenialKind;

constexpr std::size_t kMostText = 400;
constexpr std::size_t kMostProfiles = 4;  // named in a remedy
constexpr std::uint32_t kX32Bit = 0x40000000;

struct Word {
  std::uint64_t value;
  std::string_view name;
};
constexpr std::array kFamilies = {
    Word{AF_UNIX, "AF_UNIX"},     Word{AF_INET, "AF_INET"},       Word{AF_AX25, "AF_AX25"},
    Word{AF_INET6, "AF_INET6"},   Word{AF_KEY, "AF_KEY"},         Word{AF_NETLINK, "AF_NETLINK"},
    Word{AF_PACKET, "AF_PACKET"}, Word{AF_RDS, "AF_RDS"},         Word{AF_PPPOX, "AF_PPPOX"},
    Word{AF_CAN, "AF_CAN"},       Word{AF_TIPC, "AF_TIPC"},       Word{AF_BLUETOOTH, "AF_BLUETOOTH"},
    Word{AF_ALG, "AF_ALG"},       Word{AF_NFC, "AF_NFC"},         Word{AF_VSOCK, "AF_VSOCK"},
    Word{AF_KCM, "AF_KCM"},       Word{AF_QIPCRTR, "AF_QIPCRTR"}, Word{AF_XDP, "AF_XDP"},
};
constexpr std::array kIoctls = {Word{0x5412, "TIOCSTI"}, Word{0x541C, "TIOCLINUX"}, Word{0x540E, "TIOCSCTTY"}};
// A socket's making and its options; what a filter can see of an address is nothing.
constexpr std::array<std::string_view, 4> kOfNetwork = {"socket", "socketpair", "setsockopt", "getsockopt"};

template <std::size_t N> std::string_view word_for(const std::array<Word, N>& table, std::uint64_t value) {
  const auto found = std::ranges::find(table, value, &Word::value);
  return found == table.end() ? std::string_view() : found->name;
}

std::uint32_t host_audit_arch() {
#if defined(__x86_64__)
  return AUDIT_ARCH_X86_64;
#else
  return AUDIT_ARCH_AARCH64;
#endif
}

std::string cut(std::string text) {
  text = escaped(text);
  if (text.size() > kMostText) text.resize(kMostText);
  return is_utf8(text) ? text : escaped(text);
}

std::string name_of(const wire::DeniedCall& call, const wire::ProfileSet& set) {
  const auto number = static_cast<std::uint32_t>(call.number);
  if (call.arch != host_audit_arch()) return fmt::format("call {} of another ABI", number);
  if (number >= kX32Bit) return fmt::format("call {} of the x32 ABI", number - kX32Bit);
  const auto found = std::ranges::find(set.calls, number, &wire::CallName::number);
  return found == set.calls.end() ? fmt::format("call {}", number) : found->name;
}

std::string what_of(const std::string& name, const wire::DeniedCall& call) {
  if (name == "socket" || name == "socketpair") {
    const auto family = static_cast<std::uint32_t>(call.args[0]);
    const std::string_view word = word_for(kFamilies, family);
    return word.empty() ? fmt::format("{}(family {})", name, family) : fmt::format("{}({})", name, word);
  }
  if (name == "ioctl") {
    const std::string_view word = word_for(kIoctls, static_cast<std::uint32_t>(call.args[1]));
    if (!word.empty()) return fmt::format("ioctl({})", word);
  }
  return name;
}

seccomp_data data_of(const wire::DeniedCall& call) {
  seccomp_data data{};
  data.nr = call.number;
  data.arch = call.arch;
  for (std::size_t i = 0; i < 6; ++i) data.args[i] = call.args[i];
  return data;
}

std::uint32_t answer_of(const std::vector<std::uint8_t>& bytes, const wire::DeniedCall& call) {
  std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
  if (!program.empty()) std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
  return run_filter(program, data_of(call)).value_or(SECCOMP_RET_KILL_PROCESS);
}

std::string rule_of(const wire::DeniedCall& call, const wire::Profile& profile, const wire::ProfileSet& set) {
  const wire::FilterNotes* notes = set.notes_of(profile);
  std::string filter = fmt::format("filter {}", sandboxd::quoted(profile.filter_name));
  if (notes == nullptr) return filter;
  const std::uint32_t answer = answer_of(notes->program, call);
  const std::uint32_t index = answer & SECCOMP_RET_DATA;
  if ((answer & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO || index >= notes->rules.size()) return filter;
  const wire::FilterRule& rule = notes->rules[index];
  return cut(fmt::format("{}: {}", rule.place, rule.why));
}

// Every profile's own filter is asked about this very call.
std::vector<std::string> allowing(const wire::DeniedCall& call, const wire::ProfileSet& set) {
  std::vector<std::string> names;
  for (const wire::Profile& profile : set.profiles) {
    if (answer_of(profile.filter, call) == SECCOMP_RET_ALLOW) names.push_back(sandboxd::quoted(profile.name));
  }
  return names;
}

std::string remedy_of(const wire::DeniedCall& call, int code, const std::string& what, const wire::ProfileSet& set) {
  std::vector<std::string> names = allowing(call, set);
  std::string remedy;
  if (code == ENOSYS)
    remedy =
        "nothing where the program goes on: it takes the call for one that the kernel lacks, and uses another; else ";
  const std::size_t more = names.size() > kMostProfiles ? names.size() - kMostProfiles : 0;
  names.resize(names.size() - more);
  if (names.empty()) {
    remedy +=
        "no profile here allows it: write one whose key 'filter' names a filter with a rule that does "
        "(sandboxd-profile(5))";
  } else {
    remedy += fmt::format("use a profile that allows it: {}", fmt::join(names, ", "));
    if (more != 0) remedy += fmt::format(" and {} more", more);
  }
  if (what == "socket(AF_UNIX)") remedy += "; or set the profile's key 'unix_sockets' to 'any'";
  return remedy;
}

bool alike(const Denial& a, const Denial& b) {
  return a.kind == b.kind && a.job == b.job && a.what == b.what && a.rule == b.rule && a.error == b.error;
}

}  // namespace

const Denial* Refusals::add(Denial denial) {
  const auto known = std::ranges::find_if(kept_, [&](const Denial& one) { return alike(one, denial); });
  if (known != kept_.end()) {
    ++known->count;
    return nullptr;
  }
  denial.first = realtime_usec();
  kept_.push_back(std::move(denial));
  ++added_;
  if (kept_.size() > kMost) {
    kept_.pop_front();
    ++forgotten_;
  }
  return &kept_.back();
}

protocol::Denials Refusals::all() const { return {{kept_.begin(), kept_.end()}, forgotten_, untold_}; }

Denial refused_call(const wire::DeniedCall& call, int code, const wire::Profile& profile, const wire::ProfileSet& set) {
  Denial denial;
  const std::string name = name_of(call, set);
  denial.kind = std::ranges::find(kOfNetwork, name) == kOfNetwork.end() ? DenialKind::kSyscall : DenialKind::kNetwork;
  denial.what = what_of(name, call);
  denial.rule = rule_of(call, profile, set);
  denial.remedy = cut(remedy_of(call, code, denial.what, set));
  denial.error = errno_name(code);
  return denial;
}

Denial refused_by_limit(const std::string& limit, const Limits& limits, const std::string& profile) {
  Denial denial;
  denial.kind = DenialKind::kLimit;
  denial.what = limit;
  const LimitRow* row = find_limit(limit);
  const std::string value = row == nullptr ? "" : " is " + limit_text(*row, limits.*row->member);
  denial.rule = fmt::format("limits.{}{}", limit, value);
  std::string option = "--" + limit;
  std::ranges::replace(option, '_', '-');
  denial.remedy = fmt::format("ask for more with {}; the most is key 'limits.{}' of profile {}", option, limit,
                              sandboxd::quoted(profile));
  return denial;
}

std::string denial_line(const Denial& denial) {
  const std::string told = denial.error.empty() ? "" : fmt::format(" ({})", denial.error);
  return escaped(
      fmt::format("sandboxd: refused: {}{}: {}; what to do: {}", denial.what, told, denial.rule, denial.remedy));
}

}  // namespace sandboxd::jails
