#include "daemon/jails/learned.h"

#include <cstring>

namespace sandboxd::jails {
namespace {

constexpr std::size_t kMostText = 4096;

}  // namespace

bool Learned::take_text(const wire::LearnedPart& part) {
  if (part.a > sizeof part.bytes) return false;
  if (!text_open_) {
    if (part.id != texts_.size() || texts_.size() > wire::kMostLearnedTexts) return false;
    texts_.emplace_back();
  } else if (part.id + 1 != texts_.size()) {
    return false;
  }
  texts_.back().append(&part.bytes[0], part.a);
  text_open_ = part.b != 0;
  return texts_.back().size() <= kMostText;
}

bool Learned::take(const wire::LearnedPart& part) {
  using wire::LearnedKind;
  if (++parts_ > wire::kMostLearned) return false;
  switch (part.kind) {
    case LearnedKind::kText: return take_text(part);
    case LearnedKind::kCall:
    case LearnedKind::kPath:
    case LearnedKind::kPort:
      if (text_open_ || part.id != entries_.size() || entries_.size() >= wire::kMostLearnedEntries) return false;
      entries_.push_back({part.kind, part.program, part.a, part.b, 1});
      return true;
    case LearnedKind::kCounts:
      if (part.a > sizeof part.bytes / sizeof(std::uint32_t)) return false;
      for (std::uint32_t i = 0; i < part.a && part.id + i < entries_.size(); ++i)
        std::memcpy(&entries_[part.id + i].count, &part.bytes[i * sizeof(std::uint32_t)], sizeof(std::uint32_t));
      return true;
    case LearnedKind::kUnread:
      unread_ = part.b;
      lost_ = part.a;
      return true;
  }
  return false;
}

std::string_view Learned::text(std::uint64_t number) const {
  return number < texts_.size() ? std::string_view(texts_[number]) : std::string_view();
}

}  // namespace sandboxd::jails
