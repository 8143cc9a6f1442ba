// What sandboxd-jail-files says to sandboxd: records, each a u32 length and a flat Answer (wire/codec.h); the last is kDone, kFailed
// or kRefused. It comes out of a jail whose jobs can make the program say anything: the reader takes nothing that is too long,
// of no known kind, or behind the last record, and api escapes what is text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::files {

enum class AnswerKind : std::uint8_t { kEntry = 1, kData = 2, kDone = 3, kFailed = 4, kRefused = 5 };
enum class FileType : std::uint8_t { kFile, kDirectory, kSymlink, kFifo, kSocket, kDevice };

inline constexpr std::uint64_t kMostRead =
    512U << 10;  // bytes of one read: a reply holds them in base64, and is 1 MiB at most
inline constexpr std::uint64_t kMostListed = 100'000;    // entries of one directory
inline constexpr std::size_t kMostAnswer = 16U << 10;    // of one record, but for the data of a read
inline constexpr std::uint64_t kMostNumber = INT64_MAX;  // varlink's int

struct FileEntry {
  std::string name{};
  FileType type = FileType::kFile;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  std::uint64_t modified = 0;  // microseconds since 1970
  std::string target{};        // kSymlink
  template <class A> void fields(A& a) { a(name), a(type), a(size), a(mode), a(modified), a(target); }
  bool operator==(const FileEntry&) const = default;
};

struct Answer {
  AnswerKind kind = AnswerKind::kDone;
  FileEntry entry{};                                   // kEntry
  std::string data{};                                  // kData
  bool end = false;                                    // kData: nothing comes after it in the file
  std::uint64_t size = 0;                              // kData: of the file
  std::uint64_t files = 0, bytes = 0;                  // kDone, of a stream
  std::string operation{}, limit{}, path{}, detail{};  // kFailed, kRefused
  std::int32_t code = 0;                               // kFailed: errno
  template <class A> void fields(A& a) {
    a(kind), a(entry), a(data), a(end), a(size), a(files), a(bytes), a(operation), a(limit), a(path), a(detail),
        a(code);
  }
  bool operator==(const Answer&) const = default;
};

// The record with its length.
[[nodiscard]] std::string encode_answer(const Answer& answer);

class AnswerReader {
 public:
  void feed(std::string_view bytes);
  // The next whole record; nothing when there is none yet, or when something was wrong.
  std::optional<Answer> next();
  // Something came that no good program says.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size() - at_; }

 private:
  std::string pending_{};
  std::size_t at_ = 0;
  bool last_seen_ = false;
  bool broken_ = false;
};

}  // namespace sandboxd::files
