// Reads a tar stream strictly (ustar, pax, GNU tar's long names): what is not exactly a stream is refused, so is everything that
// is no file, directory or link, every name that is not good, and what exceeds the limits. The links of a stream are checked, that
// they lead nowhere else; whether an entry comes twice is the caller's to know. Memory: one name, one link, one pax header.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>

#include "archive/block.h"
#include "archive/entry.h"
#include "archive/stream.h"

namespace sandboxd::archive {

class TarReader {
 public:
  // Where the entries go, the first `left_out` parts of their names are left out.
  TarReader(Source& source, const Limits& limits, Trouble& trouble, std::uint32_t left_out = 0)
      : source_(source), limits_(limits), trouble_(trouble), left_out_(left_out) {}

  // The next entry; false when the stream ended as it should. What was not read of the last one is skipped.
  Result<bool> next(Entry& entry);
  // The content of the last entry; 0 at its end.
  Result<std::size_t> read(std::span<char> into);
  [[nodiscard]] const Totals& totals() const noexcept { return totals_; }

 private:
  // What extension headers say of the entry that follows.
  struct Said {
    std::optional<std::string> name{}, link{};
    std::optional<std::uint64_t> size{};
    std::optional<std::int64_t> mtime{};
    bool pax = false;
  };

  Status fill(std::span<char> into);
  Status skip_content();
  Result<std::string> content(std::uint64_t size, std::size_t most);
  Status end_of_stream();
  Result<bool> next_header(Said& said, BlockFields& fields);
  Status take_extension(const BlockFields& fields, Said& said);
  Status take_pax(std::string_view records, bool global, Said& said);
  Status take_record(std::string_view key, std::string_view value, bool global, Said& said);
  Status put_type(char type, Entry& entry);
  Status check(Entry& entry);
  Status count();
  [[nodiscard]] Error malformed(std::string_view what);

  Source& source_;
  Limits limits_;
  Trouble& trouble_;
  std::uint32_t left_out_;
  Totals totals_{};
  std::uint64_t entries_ = 0;
  std::uint64_t left_ = 0;     // of the entry's content
  std::uint64_t padding_ = 0;  // after it
  std::string name_{};         // of the last entry
  bool ended_ = false;
};

}  // namespace sandboxd::archive
