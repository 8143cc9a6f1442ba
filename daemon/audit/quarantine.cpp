#include "daemon/audit/quarantine.h"

#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "daemon/audit/segments.h"

namespace sandboxd::audit {
namespace {

constexpr std::string_view kPending = ".torn.pending";
constexpr std::size_t kStem = 16 + 1 + 8;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

bool is_pending(std::string_view name) {
  return name.size() == kStem + kPending.size() && name.ends_with(kPending) && name[16] == '-' &&
         from_hex(name.substr(0, 16)) && from_hex(name.substr(17, 8));
}

Result<Aside> describe(int directory, std::string_view pending) {
  TRY_ASSIGN(const std::string bytes, read_file(directory, std::string(pending), kMaxSegment));
  Aside aside;
  aside.name = pending.substr(0, pending.size() - std::string_view(".pending").size());
  aside.detail = nlohmann::json{{"bytes", bytes.size()},
                                {"file", "quarantine/" + aside.name},
                                {"offset", std::stoull(std::string(pending.substr(17, 8)), nullptr, 16)},
                                {"segment", std::string(pending.substr(0, 16)) + ".seg"},
                                {"sha256", sandboxd::hex(sha256(bytes))}}
                     .dump();
  return aside;
}

}  // namespace

Status set_aside(int directory, std::uint64_t segment, std::size_t offset, std::string_view tail) {
  const std::string name = fmt::format("{:016x}-{:08x}{}", segment, offset, kPending);
  const UniqueFd copy(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy) return sys_error("create 'quarantine/{}'", name);
  TRY(write_all(copy.get(), tail).context("'quarantine/{}'", name));
  if (::fsync(copy.get()) < 0 || ::fsync(directory) < 0) return sys_error("fsync 'quarantine/{}'", name);
  return {};
}

Result<std::vector<Aside>> list_pending(int directory) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return sys_error("list 'quarantine'");
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(copy));
  if (!stream) return sys_error("list 'quarantine'");
  std::vector<Aside> all;
  for (const dirent* entry = ::readdir(stream.get()); entry != nullptr; entry = ::readdir(stream.get())) {
    if (!is_pending(entry->d_name)) continue;
    TRY_ASSIGN(Aside aside, describe(directory, entry->d_name));
    all.push_back(std::move(aside));
  }
  return all;
}

Status mark_recorded(int directory, const std::string& name) {
  if (::renameat(directory, (name + ".pending").c_str(), directory, name.c_str()) < 0)
    return sys_error("rename 'quarantine/{}'", name);
  if (::fsync(directory) < 0) return sys_error("fsync 'quarantine'");
  return {};
}

}  // namespace sandboxd::audit
