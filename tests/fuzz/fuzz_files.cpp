// What a jail makes the program say that reads its files. Whatever comes, in whatever pieces: nothing is too long, and what was read is
// written again as the very same bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "daemon/files/answer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sandboxd::files;
  if (size == 0) return 0;
  const std::size_t piece = data[0] + 1U;
  const std::string said(reinterpret_cast<const char*>(data) + 1, size - 1);
  AnswerReader reader;
  std::string again;
  for (std::size_t at = 0; at < said.size(); at += piece) {
    reader.feed(std::string_view(said).substr(at, piece));
    while (const auto answer = reader.next()) {
      if (answer->data.size() > kMostRead || answer->detail.size() > kMostAnswer) std::abort();
      again += encode_answer(*answer);
    }
    if (reader.pending() > kMostRead + kMostAnswer + sizeof(std::uint32_t) + piece) std::abort();
  }
  if (!said.starts_with(again)) std::abort();
  return 0;
}
