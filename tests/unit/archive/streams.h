// Tar streams made by hand, good and bad, and a directory to try them in. Independent of the writer under test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "archive/stream.h"
#include "archive/unpack.h"
#include "base/unique_fd.h"

namespace sandboxd::archive {

struct Raw {
  std::string name{};
  char type = '0';
  std::string content{};
  std::string link{};
  unsigned mode = 0644;
  std::string size{};   // as it stands in the field; of the content when empty
  std::string magic{};  // ustar's when empty
};
std::string raw(const Raw& entry);
std::string pax(std::string_view key, std::string_view value, char type = 'x');
std::string ended(const std::string& entries);  // with its two blocks of zeros

class TextSource final : public Source {
 public:
  explicit TextSource(std::string text, std::size_t piece = 4096) : text_(std::move(text)), piece_(piece) {}
  Result<std::size_t> read(std::span<char> into) override {
    const std::size_t size = std::min({into.size(), text_.size() - at_, piece_});
    std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(at_), size, into.begin());
    at_ += size;
    return size;
  }

 private:
  std::string text_;
  std::size_t piece_;
  std::size_t at_ = 0;
};

class TextSink final : public Sink {
 public:
  Status write(std::string_view bytes) override {
    text.append(bytes);
    return {};
  }
  std::string text{};
};

// "top/place" is where to unpack; nothing else in "top" may change.
class TempTree {
 public:
  TempTree();
  ~TempTree();
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string place_path() const { return path_ + "/place"; }
  [[nodiscard]] int place() const { return place_.get(); }
  // All that lies in the place: "name type mode content-or-target\n", sorted.
  [[nodiscard]] std::string listing() const;
  [[nodiscard]] std::string listing_of_top() const;

 private:
  std::string path_;
  UniqueFd place_;
};

struct Outcome {
  bool ok = false;
  std::string limit{}, message{};
  Totals totals{};
  Trouble trouble{};
};
Outcome try_unpack(const TempTree& tree, const std::string& stream, const UnpackOptions& options = {});

}  // namespace sandboxd::archive
