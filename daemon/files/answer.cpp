#include "daemon/files/answer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "daemon/wire/codec.h"

namespace sandboxd::files {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxPath = 4095;
constexpr std::size_t kMaxWord = 64;
constexpr std::size_t kMaxDetail = 1024;
constexpr std::int32_t kMaxErrno = 4095;
constexpr std::array<std::string_view, 8> kLimits = {"size", "entries",   "depth", "name",
                                                     "type", "duplicate", "link",  "format"};

bool is_last(AnswerKind kind) { return kind != AnswerKind::kEntry && kind != AnswerKind::kData; }

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

bool is_good(const FileEntry& entry) {
  if (entry.type > FileType::kDevice || entry.size > kMostNumber || entry.modified > kMostNumber) return false;
  return entry.mode <= 07777 && entry.target.size() <= kMaxPath && entry.name.size() <= kMaxName;
}

bool is_good(const Answer& answer) {
  if (answer.kind < AnswerKind::kEntry || answer.kind > AnswerKind::kRefused || !is_good(answer.entry)) return false;
  if (answer.kind == AnswerKind::kEntry && !is_name(answer.entry.name)) return false;
  if (answer.data.size() > kMostRead || answer.operation.size() > kMaxWord || answer.path.size() > kMaxPath)
    return false;
  if (answer.detail.size() > kMaxDetail || answer.code < 0 || answer.code > kMaxErrno) return false;
  if (std::max({answer.size, answer.files, answer.bytes}) > kMostNumber) return false;
  return answer.kind != AnswerKind::kRefused || std::ranges::find(kLimits, answer.limit) != kLimits.end();
}

}  // namespace

std::string encode_answer(const Answer& answer) {
  const auto body = wire::encode(answer);
  const auto size = static_cast<std::uint32_t>(body.size());
  std::string record(sizeof size, '\0');
  std::memcpy(record.data(), &size, sizeof size);
  record.append(body.begin(), body.end());
  return record;
}

void AnswerReader::feed(std::string_view bytes) {
  if (broken_) return;
  pending_.erase(0, std::exchange(at_, 0));
  pending_.append(bytes);
}

std::optional<Answer> AnswerReader::next() {
  const std::size_t have = pending_.size() - at_;
  std::uint32_t size = 0;
  if (broken_ || have == 0) return {};
  broken_ = last_seen_;
  if (broken_ || have < sizeof size) return {};
  std::memcpy(&size, pending_.data() + at_, sizeof size);
  if (size > kMostRead + kMostAnswer) broken_ = true;
  if (broken_ || have - sizeof size < size) return {};
  Answer answer;
  const auto* body = reinterpret_cast<const std::uint8_t*>(pending_.data()) + at_ + sizeof size;
  if (!wire::decode({body, size}, answer) || !is_good(answer)) {
    broken_ = true;
    return {};
  }
  at_ += sizeof size + size;
  last_seen_ = is_last(answer.kind);
  return answer;
}

}  // namespace sandboxd::files
