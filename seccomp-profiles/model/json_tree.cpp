#include "seccomp-profiles/model/json_tree.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sandboxd::filters {
namespace {

using Json = nlohmann::json;
using Kind = JsonNode::Kind;

// Counts the lines that the parser has read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    if (seen_ != nullptr) *seen_ = at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** seen_;
};

// Builds the tree from the parser's events. A false return stops the parser.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(const char* begin, const char* const* seen, std::string_view file)
      : scanned_(begin), seen_(seen), file_(file) {}

  bool null() override { return put(make(Kind::kNull)); }
  bool boolean(bool value) override {
    JsonNode node = make(Kind::kBool);
    node.boolean = value;
    return put(std::move(node));
  }
  bool number_integer(number_integer_t value) override {
    JsonNode node = make(Kind::kNegative);
    node.text = std::to_string(value);
    return put(std::move(node));
  }
  bool number_unsigned(number_unsigned_t value) override {
    JsonNode node = make(Kind::kUnsigned);
    node.number = value;
    return put(std::move(node));
  }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    JsonNode node = make(Kind::kFloat);
    node.text = text;
    return put(std::move(node));
  }
  bool string(string_t& value) override {
    JsonNode node = make(Kind::kText);
    node.text = std::move(value);
    return put(std::move(node));
  }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*elements*/) override { return open(Kind::kObject); }
  bool start_array(std::size_t /*elements*/) override { return open(Kind::kArray); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    const auto same = [&](const auto& member) { return member.first == value; };
    if (std::ranges::any_of(open_.back().members, same)) {
      return fail(fmt::format("{} line {}: key {} is given twice; remove one", sandboxd::quoted(file_), line(),
                              sandboxd::quoted(value)));
    }
    keys_.push_back(std::move(value));
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& token, const Json::exception& /*error*/) override {
    return fail(fmt::format("{} line {}: not JSON near {}; expected RFC 8259 text without comments or trailing commas",
                            sandboxd::quoted(file_), line(), sandboxd::quoted(token)));
  }

  Result<JsonNode> take() && {
    if (!failure_.empty()) return make_error("{}", failure_);
    return std::move(root_);
  }

 private:
  // The parser reads one character past a number: a newline there is not yet this token's.
  int line() {
    const char* end = *seen_;
    if (end > scanned_ && end[-1] == '\n') --end;
    line_ += static_cast<int>(std::count(scanned_, std::max(scanned_, end), '\n'));
    scanned_ = std::max(scanned_, end);
    return line_;
  }
  JsonNode make(Kind kind) {
    JsonNode node;
    node.kind = kind;
    node.line = line();
    return node;
  }
  bool open(Kind kind) {
    if (open_.size() >= kMaxDepth) {
      return fail(fmt::format("{} line {}: nested deeper than {}", sandboxd::quoted(file_), line(), kMaxDepth));
    }
    open_.push_back(make(kind));
    return true;
  }
  bool close() {
    JsonNode node = std::move(open_.back());
    open_.pop_back();
    return put(std::move(node));
  }
  bool put(JsonNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (open_.back().kind == Kind::kArray) {
      open_.back().items.push_back(std::move(node));
    } else {
      open_.back().members.emplace_back(std::move(keys_.back()), std::move(node));
      keys_.pop_back();
    }
    return true;
  }
  bool fail(std::string text) {
    if (failure_.empty()) failure_ = std::move(text);
    return false;
  }

  JsonNode root_{};
  std::vector<JsonNode> open_{};
  std::vector<std::string> keys_{};
  std::string failure_{};
  const char* scanned_;
  const char* const* seen_;
  int line_ = 1;
  std::string_view file_;
};

std::string described(const JsonNode& node) {
  switch (node.kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return node.boolean ? "true" : "false";
    case Kind::kUnsigned: return std::to_string(node.number);
    case Kind::kNegative:
    case Kind::kFloat: return node.text;
    case Kind::kText: return sandboxd::quoted(node.text);
    case Kind::kArray: return "an array";
    case Kind::kObject: return "an object";
  }
  return "?";
}

// Insertions, deletions, replacements, and two neighbours swapped: the typing errors that there are.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

Result<JsonNode> parse_json(std::string_view text, std::string_view file) {
  if (text.size() > kMaxFileBytes) return make_error("{}: larger than {} bytes", sandboxd::quoted(file), kMaxFileBytes);
  const char* seen = text.data();
  TreeBuilder builder(text.data(), &seen, file);
  (void)Json::sax_parse(CountingIterator(text.data(), &seen), CountingIterator(text.data() + text.size(), nullptr),
                        &builder);
  return std::move(builder).take();
}

Error Cursor::error(std::string_view problem) const {
  return make_error("{} line {}, at '{}': {}", sandboxd::quoted(file_), line(), path_.empty() ? "." : path_, problem);
}

Error Cursor::unexpected(std::string_view expected) const {
  return error(fmt::format("is {}; expected {}", described(*node_), expected));
}

Status Cursor::only_keys(std::span<const std::string_view> known) const {
  if (node_->kind != Kind::kObject) return unexpected("an object");
  for (const auto& [key, value] : node_->members) {
    if (key == "$schema" || std::ranges::find(known, key) != known.end()) continue;
    Cursor child = *this;
    child.node_ = &value;
    const std::string_view near = nearest(key, known);
    return child.error(
        near.empty() ? fmt::format("unknown key {}; known here: {}", sandboxd::quoted(key), fmt::join(known, ", "))
                     : fmt::format("unknown key {}; did you mean '{}'?", sandboxd::quoted(key), near));
  }
  return {};
}

bool Cursor::has(std::string_view key) const {
  return std::ranges::any_of(node_->members, [&](const auto& member) { return member.first == key; });
}

Result<Cursor> Cursor::member(std::string_view key) const {
  if (node_->kind != Kind::kObject) return unexpected("an object");
  for (const auto& [name, value] : node_->members) {
    if (name != key) continue;
    Cursor child = *this;
    child.node_ = &value;
    child.path_ = path_.empty() ? name : path_ + "." + name;
    return child;
  }
  return error(fmt::format("key '{}' is missing; add it", key));
}

Result<std::vector<Cursor>> Cursor::items() const {
  if (node_->kind != Kind::kArray) return unexpected("an array");
  std::vector<Cursor> all;
  for (std::size_t i = 0; i < node_->items.size(); ++i) {
    Cursor child = *this;
    child.node_ = &node_->items[i];
    child.path_ = fmt::format("{}[{}]", path_, i);
    all.push_back(std::move(child));
  }
  return all;
}

Result<std::vector<std::pair<std::string, Cursor>>> Cursor::members() const {
  if (node_->kind != Kind::kObject) return unexpected("an object");
  std::vector<std::pair<std::string, Cursor>> all;
  for (const auto& [name, value] : node_->members) {
    Cursor child = *this;
    child.node_ = &value;
    child.path_ = path_.empty() ? escaped(name) : path_ + "." + escaped(name);
    all.emplace_back(name, std::move(child));
  }
  return all;
}

Result<std::string> Cursor::text() const {
  if (node_->kind != Kind::kText) return unexpected("a text");
  if (node_->text.find('\0') != std::string::npos) return unexpected("a text without NUL");
  return node_->text;
}

Result<std::string> Cursor::filled_text() const {
  TRY_ASSIGN(std::string value, text());
  if (value.find_first_not_of(" \t\n\r") == std::string::npos) return unexpected("a text that is not empty");
  return value;
}

Result<bool> Cursor::boolean() const {
  if (node_->kind != Kind::kBool) return unexpected("true or false");
  return node_->boolean;
}

Result<std::uint64_t> Cursor::number(std::uint64_t least, std::uint64_t most) const {
  if (node_->kind != Kind::kUnsigned || node_->number < least || node_->number > most) {
    return unexpected(fmt::format("an integer from {} to {}", least, most));
  }
  return node_->number;
}

Result<std::vector<std::string>> Cursor::texts() const {
  TRY_ASSIGN(const std::vector<Cursor> all, items());
  std::vector<std::string> values;
  for (const Cursor& item : all) {
    TRY_ASSIGN(std::string value, item.filled_text());
    if (std::ranges::find(values, value) != values.end())
      return item.error(fmt::format("{} is listed twice", sandboxd::quoted(value)));
    values.push_back(std::move(value));
  }
  return values;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  if (word.size() > 64) return best;
  for (const std::string_view candidate : known) {
    if (const std::size_t distance = edit_distance(word, candidate); distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace sandboxd::filters
