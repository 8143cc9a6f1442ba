#include "daemon/audit/frame.h"

#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/text.h"

namespace sandboxd::audit {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = make_table();

}  // namespace

Sha256Digest leaf_hash(std::string_view json) {
  Sha256Digest digest{};
  // Reused: a context costs more than the hash of a record.
  static EVP_MD_CTX* const context = ::EVP_MD_CTX_new();
  const std::uint8_t leaf = 0;  // RFC 6962: a leaf can't be taken for a node of the tree
  const bool done = context != nullptr && ::EVP_DigestInit_ex(context, ::EVP_sha256(), nullptr) == 1 &&
                    ::EVP_DigestUpdate(context, &leaf, 1) == 1 &&
                    ::EVP_DigestUpdate(context, json.data(), json.size()) == 1 &&
                    ::EVP_DigestFinal_ex(context, digest.data(), nullptr) == 1;
  if (!done) std::abort();  // no memory, or no SHA-256 in this OpenSSL: nothing true can be written
  return digest;
}

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t value = ~0U;
  for (const char c : bytes) value = kTable[(value ^ static_cast<std::uint8_t>(c)) & 0xFF] ^ (value >> 8);
  return ~value;
}

void append_record(std::string& out, std::uint64_t index, std::string_view json) {
  fmt::format_to(std::back_inserter(out), "R {:016x} {:05x} {:08x} ", index, json.size(), crc32c(json));
  out += json;
  out += '\n';
}

void append_commit(std::string& out, std::uint64_t records, std::size_t batch_bytes, const Sha256Digest& last_leaf) {
  fmt::format_to(std::back_inserter(out), "C {:016x} {:08x} {}\n", records, batch_bytes, hex(last_leaf));
}

}  // namespace sandboxd::audit
