// JSON text as a tree whose nodes know their line, and a cursor that walks it and knows its JSON path: errors then name
// file, line, path, what was found, what is expected. Stricter than RFC 8259: a key given twice is an error (which of the
// two wins would be a guess), integers only, at most 32 deep. Pure: no system calls, no exceptions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sandboxd::filters {

inline constexpr std::size_t kMaxFileBytes = 1U << 20;
inline constexpr std::size_t kMaxDepth = 32;

struct JsonNode {
  enum class Kind : std::uint8_t { kNull, kBool, kUnsigned, kNegative, kFloat, kText, kArray, kObject };

  Kind kind = Kind::kNull;
  int line = 0;
  bool boolean = false;
  std::uint64_t number = 0;                                 // kUnsigned
  std::string text{};                                       // kText; the number as written for kNegative and kFloat
  std::vector<JsonNode> items{};                            // kArray
  std::vector<std::pair<std::string, JsonNode>> members{};  // kObject, in the file's order
};

// `file` is for messages only.
Result<JsonNode> parse_json(std::string_view text, std::string_view file);

class Cursor {
 public:
  Cursor(const JsonNode& node, std::string_view file) : node_(&node), file_(file) {}

  [[nodiscard]] const JsonNode& node() const { return *node_; }
  [[nodiscard]] int line() const { return node_->line; }
  [[nodiscard]] const std::string& path() const { return path_; }

  // An error at this place: "'FILE' line N, at 'PATH': PROBLEM".
  [[nodiscard]] Error error(std::string_view problem) const;
  // "... is VALUE; expected EXPECTED".
  [[nodiscard]] Error unexpected(std::string_view expected) const;

  // Refuses what is not an object, or has a key that is not in `known`. "$schema" is always known, and ignored.
  Status only_keys(std::span<const std::string_view> known) const;
  [[nodiscard]] bool has(std::string_view key) const;
  Result<Cursor> member(std::string_view key) const;  // an error when it is missing
  Result<std::vector<Cursor>> items() const;
  Result<std::vector<std::pair<std::string, Cursor>>> members() const;

  Result<std::string> text() const;
  Result<std::string> filled_text() const;  // not empty, not only white space
  Result<bool> boolean() const;
  Result<std::uint64_t> number(std::uint64_t least, std::uint64_t most) const;
  Result<std::vector<std::string>> texts() const;

 private:
  const JsonNode* node_;
  std::string_view file_;
  std::string path_{};
};

// The name in `known` that `word` is most likely a misspelling of; empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace sandboxd::filters
