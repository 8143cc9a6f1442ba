// Writes a tar stream (POSIX pax; plain ustar where that can say it). Owners, times below a second and extended attributes are
// left out. The same entries give the same bytes.
#pragma once

#include <string>
#include <string_view>

#include "archive/entry.h"
#include "archive/stream.h"

namespace sandboxd::archive {

class TarWriter {
 public:
  explicit TarWriter(Sink& sink) : sink_(sink) {}

  // Then, for a file, exactly entry.size bytes by data().
  Status add(const Entry& entry);
  Status data(std::string_view bytes);
  Status finish();

 private:
  Status flush();
  Status put(std::string_view bytes);
  Status put_pax(const std::string& records);

  Sink& sink_;
  std::string pending_{};
  std::uint64_t left_ = 0;
  std::uint64_t padding_ = 0;
};

}  // namespace sandboxd::archive
