#include "sandboxd-client/ctl/terminal_text.h"

#include <utility>

#include "base/text.h"

namespace sandboxd::ctl {
namespace {

// How many bytes a UTF-8 sequence with this first byte has; 0 when none begins with it (RFC 3629).
std::size_t sequence_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  if (byte >= 0xC2 && byte <= 0xDF) return 2;
  if (byte >= 0xE0 && byte <= 0xEF) return 3;
  return byte >= 0xF0 && byte <= 0xF4 ? 4 : 0;
}

// How many bytes at the end may be the beginning of something.
std::size_t unfinished(std::string_view bytes) {
  if (bytes.ends_with('\r')) return 1;
  for (std::size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const char byte = bytes[bytes.size() - back];
    if (const std::size_t length = sequence_length(byte); length != 0) return length > back ? back : 0;
    if ((static_cast<unsigned char>(byte) & 0xC0U) != 0x80U) return 0;
  }
  return 0;
}

std::string shown(std::string_view bytes) {
  std::string out;
  std::size_t start = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool line_end = bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
    if (bytes[i] != '\n' && bytes[i] != '\t' && !line_end) continue;
    out += escaped(bytes.substr(start, i - start));
    if (!line_end) out += bytes[i];
    start = i + 1;
  }
  return out + escaped(bytes.substr(start));
}

}  // namespace

std::string TerminalText::add(std::string_view bytes) {
  std::string all = std::exchange(held_, {});
  all += bytes;
  const std::size_t keep = unfinished(all);
  held_ = all.substr(all.size() - keep);
  return shown(std::string_view(all).substr(0, all.size() - keep));
}

std::string TerminalText::end() { return shown(std::exchange(held_, {})); }

}  // namespace sandboxd::ctl
