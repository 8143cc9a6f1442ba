#include "base/sha256.h"

#include <random>
#include <string>

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "base/text.h"

namespace sandboxd {
namespace {

Sha256Digest reference(std::string_view text) {
  Sha256Digest digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::string noise(std::size_t size) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(size));
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

TEST(Sha256, KnowsTheVectorsOfFips180) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, AgreesWithOpensslForEveryLengthAroundABlock) {
  for (std::size_t size = 0; size <= 300; ++size) {
    const std::string text = noise(size);
    ASSERT_EQ(sha256(text), reference(text)) << size;
  }
  const std::string large = noise(1 << 20);
  EXPECT_EQ(sha256(large), reference(large));
}

TEST(Sha256, TakesTheSameTextInAnyPieces) {
  const std::string text = noise(1000);
  for (std::size_t piece = 1; piece < 200; ++piece) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) hash.update(std::string_view(text).substr(at, piece));
    ASSERT_EQ(hash.finish(), reference(text)) << piece;
  }
}

}  // namespace
}  // namespace sandboxd
