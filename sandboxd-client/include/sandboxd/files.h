// Files of a live jail, as its jobs see them: read, written and moved by a small program of the daemon's in the jail, with the
// rights of its jobs and no others. Paths are absolute, in the jail. What comes back is the jail's word: check it. Errors:
// kFileFailed (errno in the jail), kFileRefused (a bound). Made by Client::files().
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sandboxd/result.h>

namespace sandboxd::client {

struct FileData {
  std::string data{};
  bool end = false;        // there is nothing after it
  std::uint64_t size = 0;  // of the whole file
};

struct WriteOptions {
  std::uint32_t mode = 0644;
  bool append = false;
  bool exclusive = false;  // an existing file is an error
};

struct FileStat {
  std::string name{};  // the last part of the path
  std::string type{};  // file | directory | symlink | fifo | socket | device
  std::uint64_t size = 0;
  std::uint32_t mode = 0;               // permission bits
  std::uint64_t modified = 0;           // microseconds since 1970
  std::optional<std::string> target{};  // of a symlink
};

// Bounds of what is put into a jail; the daemon's when absent.
struct PutLimits {
  std::optional<std::uint64_t> size{}, entries{}, depth{};
};

struct TransferResult {
  std::uint64_t files = 0, bytes = 0;
};

// A tar stream on its way. get(): read `stream` to its end, then finish(). put(): write `stream`, close it, then finish(), which
// says whether all of it is there.
class SANDBOXD_CLIENT_API Transfer {
 public:
  Transfer(Transfer&&) noexcept;
  Transfer& operator=(Transfer&&) noexcept;
  ~Transfer();

  Fd stream{};

  Expected<TransferResult> finish(std::chrono::milliseconds deadline = std::chrono::milliseconds::max()) noexcept;

  struct SANDBOXD_CLIENT_LOCAL Inside;
  explicit Transfer(std::unique_ptr<Inside> inside) noexcept;

 private:
  std::unique_ptr<Inside> inside_;
};

class SANDBOXD_CLIENT_API Files {
 public:
  Files(Files&&) noexcept;
  Files& operator=(Files&&) noexcept;
  ~Files();

  // At most 512 KiB.
  Expected<FileData> read(const std::string& path, std::uint64_t offset = 0,
                          std::uint64_t length = std::uint64_t{512} << 10) noexcept;
  // The whole file; more than `most` bytes are kFileRefused.
  Expected<std::string> read_all(const std::string& path, std::uint64_t most = std::uint64_t{64} << 20) noexcept;
  // The whole content, at most 512 KiB: nobody sees half of it.
  Expected<void> write(const std::string& path, std::string_view data, const WriteOptions& options = {}) noexcept;
  Expected<std::vector<FileStat>> list(const std::string& path) noexcept;
  // Of the path itself; `follow`: of what a symlink there points to.
  Expected<FileStat> stat(const std::string& path, bool follow = false) noexcept;
  Expected<void> remove(const std::string& path, bool recursive = false) noexcept;
  // A file or directory as a tar stream (POSIX pax), out of the jail and into a directory of it.
  Expected<Transfer> get(const std::string& path) noexcept;
  Expected<Transfer> put(const std::string& path, const PutLimits& limits = {}) noexcept;

  struct SANDBOXD_CLIENT_LOCAL Inside;
  explicit Files(std::unique_ptr<Inside> inside) noexcept;

 private:
  std::unique_ptr<Inside> inside_;
};

}  // namespace sandboxd::client
