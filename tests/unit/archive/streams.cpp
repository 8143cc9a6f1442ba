#include "tests/unit/archive/streams.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

namespace sandboxd::archive {
namespace {

constexpr std::size_t kSize = 512;

std::string padded(std::string text) {
  text.resize((text.size() + kSize - 1) / kSize * kSize, '\0');
  return text;
}

void put(std::string& block, std::size_t at, std::string_view text) { block.replace(at, text.size(), text); }

std::string listing_below(const std::string& top) {
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
    struct stat info {};
    ::lstat(entry.path().c_str(), &info);
    std::string what;
    if (S_ISLNK(info.st_mode)) {
      what = "-> " + std::filesystem::read_symlink(entry.path()).string();
    } else if (S_ISREG(info.st_mode)) {
      std::ifstream file(entry.path(), std::ios::binary);
      what = std::string(std::istreambuf_iterator<char>(file), {});
    } else {
      what = S_ISDIR(info.st_mode) ? "dir" : "other";
    }
    lines.push_back(
        fmt::format("{} {:o} {}\n", entry.path().string().substr(top.size() + 1), info.st_mode & 07777, what));
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

}  // namespace

std::string raw(const Raw& entry) {
  std::string block(kSize, '\0');
  put(block, 0, entry.name.substr(0, 100));
  put(block, 100, fmt::format("{:07o}", entry.mode));
  put(block, 108, "0001750");
  put(block, 116, "0001750");
  put(block, 124, entry.size.empty() ? fmt::format("{:011o}", entry.content.size()) : entry.size);
  put(block, 136, "14371000000");
  put(block, 148, "        ");
  block[156] = entry.type;
  put(block, 157, entry.link.substr(0, 100));
  put(block, 257,
      entry.magic.empty() ? std::string_view("ustar\0"
                                             "00",
                                             8)
                          : std::string_view(entry.magic));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, 148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  return block + padded(entry.content);
}

std::string pax(std::string_view key, std::string_view value, char type) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (length != rest + std::to_string(length).size()) ++length;
  return raw({.name = "h", .type = type, .content = fmt::format("{} {}={}\n", length, key, value)});
}

std::string ended(const std::string& entries) { return entries + std::string(2 * kSize, '\0'); }

TempTree::TempTree() {
  std::string name = "/tmp/archive-test-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  path_ = name;
  std::filesystem::create_directory(place_path());
  std::ofstream(path_ + "/outside") << "untouched";
  place_.reset(::open(place_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

TempTree::~TempTree() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempTree::listing() const { return listing_below(place_path()); }
std::string TempTree::listing_of_top() const { return listing_below(path_); }

Outcome try_unpack(const TempTree& tree, const std::string& stream, const UnpackOptions& options) {
  Outcome outcome;
  TextSource source(stream, 700);
  const Status done = unpack(source, tree.place(), options, outcome.totals, outcome.trouble);
  outcome.ok = done.ok();
  outcome.limit = outcome.trouble.limit;
  if (!done.ok()) outcome.message = done.error().message();
  return outcome;
}

}  // namespace sandboxd::archive
