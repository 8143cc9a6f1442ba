#include "daemon/audit/segments.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/json_rules.h"

namespace sandboxd::audit {
namespace {

constexpr std::string_view kSuffix = ".seg";

std::optional<std::uint64_t> index_of(std::string_view name) {
  if (name.size() != 16 + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  const std::optional<std::string> bytes = from_hex(name.substr(0, 16));
  if (!bytes) return std::nullopt;
  std::uint64_t index = 0;
  for (const char byte : *bytes) index = index << 8 | static_cast<std::uint8_t>(byte);
  return index;
}

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

}  // namespace

std::string segment_name(std::uint64_t first) { return fmt::format("{:016x}{}", first, kSuffix); }

Result<std::vector<std::uint64_t>> list_segments(int directory) {
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return sys_error("list segments");
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(copy));
  if (!stream) return sys_error("list segments");
  std::vector<std::uint64_t> firsts;
  for (const dirent* entry = ::readdir(stream.get()); entry != nullptr; entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name == "next") continue;
    const std::optional<std::uint64_t> first = index_of(name);
    if (!first) return sys_error_code(EBADMSG, "{} is no segment", sandboxd::quoted(name));
    firsts.push_back(*first);
  }
  std::sort(firsts.begin(), firsts.end());
  return firsts;
}

Result<Position> start_of(std::uint64_t first, std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.substr(0, kRecordPrefix + kMaxRecord + 1).find('\n'));
  const std::optional<nlohmann::json> record =
      parse_strict(line.size() < kRecordPrefix ? "" : line.substr(kRecordPrefix));
  const auto text = record && record->is_object() ? record->value("prev_hash", nlohmann::json()) : nlohmann::json();
  const std::optional<std::string> hash =
      text.is_string() ? from_hex(text.get_ref<const std::string&>()) : std::nullopt;
  Position start{first, {}};
  if (!hash || hash->size() != start.last_leaf.size())
    return sys_error_code(EBADMSG, "its first record says no previous hash");
  std::copy(hash->begin(), hash->end(), start.last_leaf.begin());
  return start;
}

std::optional<std::string> intent_of(const nlohmann::json& record) {
  const auto text = [&](const char* key) {
    return record.contains(key) && record[key].is_string() ? record[key].get<std::string>() : std::string();
  };
  const auto actor = record.value("actor", nlohmann::json::object());
  const bool ours = actor.is_object() && actor.value("source", nlohmann::json()) == "sandboxd";
  if (!ours || text("phase") != "intent" || text("request").empty()) return std::nullopt;
  return text("request");
}

}  // namespace sandboxd::audit
