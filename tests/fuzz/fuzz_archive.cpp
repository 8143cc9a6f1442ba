// A tar stream from a jail, or for one. What is read keeps to the rules whatever the bytes are; and what was read, written and read
// again is the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "archive/stream.h"
#include "archive/tar_reader.h"
#include "archive/tar_writer.h"

namespace sandboxd::archive {
namespace {

constexpr Limits kLimits{.size = 1U << 20, .entries = 100, .depth = 8};

class Bytes final : public Source {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  Result<std::size_t> read(std::span<char> into) override {
    const std::size_t size = std::min(into.size(), bytes_.size());
    if (size > 0) std::memcpy(into.data(), bytes_.data(), size);
    bytes_.remove_prefix(size);
    return size;
  }

 private:
  std::string_view bytes_;
};

class Text final : public Sink {
 public:
  Status write(std::string_view bytes) override {
    text.append(bytes);
    return {};
  }
  std::string text{};
};

struct Read {
  Entry entry{};
  std::string content{};
  bool operator==(const Read&) const = default;
};

void require(bool holds) {
  if (!holds) std::abort();
}

// Nothing when the stream is refused.
std::vector<Read> read_all(std::string_view stream, bool& good) {
  Bytes source(stream);
  Trouble trouble;
  TarReader reader(source, kLimits, trouble);
  std::vector<Read> all;
  std::uint64_t bytes = 0;
  for (;;) {
    Read read;
    const auto more = reader.next(read.entry);
    good = more.ok();
    if (!good) require(!trouble.limit.empty());
    if (!good || !*more) return all;
    require(is_good_name(read.entry.name) && depth_of(read.entry.name) <= kLimits.depth && read.entry.mode <= 0777);
    if (read.entry.type == EntryType::kSymlink) require(stays_inside(read.entry.name, read.entry.link));
    if (read.entry.type == EntryType::kHardLink) require(is_good_name(read.entry.link));
    char buffer[333];
    for (;;) {
      const auto got = reader.read(buffer);
      good = got.ok();
      if (!good) return all;
      if (*got == 0) break;
      read.content.append(buffer, *got);
    }
    require(read.content.size() == read.entry.size);
    bytes += read.content.size();
    require(bytes <= kLimits.size);
    all.push_back(std::move(read));
    require(all.size() <= kLimits.entries);
  }
}

// A checksum that is right in each block that looks like a header: no mutation finds one by itself.
std::string with_checksums(std::string stream) {
  for (std::size_t at = 0; at + 512 <= stream.size(); at += 512) {
    if (stream.compare(at + 257, 5, "ustar") != 0) continue;
    stream.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = at; i < at + 512; ++i) sum += static_cast<unsigned char>(stream[i]);
    for (std::size_t i = at + 154; i-- > at + 148; sum /= 8) stream[i] = static_cast<char>('0' + sum % 8);
  }
  return stream;
}

}  // namespace
}  // namespace sandboxd::archive

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sandboxd::archive;
  bool good = false;
  const std::vector<Read> first = read_all(with_checksums({reinterpret_cast<const char*>(data), size}), good);
  if (!good) return 0;
  Text sink;
  TarWriter writer(sink);
  for (const Read& read : first) {
    require(writer.add(read.entry).ok());
    if (read.entry.size > 0) require(writer.data(read.content).ok());
  }
  require(writer.finish().ok());
  require(read_all(sink.text, good) == first && good);
  return 0;
}
