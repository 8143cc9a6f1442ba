// Records out of a jail: what a good program says is read, whatever pieces it comes in; nothing else is.
#include "daemon/files/answer.h"

#include <gtest/gtest.h>

namespace sandboxd::files {
namespace {

Answer entry(const std::string& name) {
  return {.kind = AnswerKind::kEntry, .entry = {.name = name, .type = FileType::kSymlink, .mode = 0777, .target = "x"}};
}

TEST(AnswerReader, ReadsRecordsInAnyPieces) {
  const Answer done{.kind = AnswerKind::kDone, .files = 2, .bytes = 3};
  const std::string stream = encode_answer(entry("a\xff")) + encode_answer(entry("b")) + encode_answer(done);
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    AnswerReader reader;
    std::vector<Answer> read;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      reader.feed(std::string_view(stream).substr(at, piece));
      while (auto answer = reader.next()) read.push_back(std::move(*answer));
    }
    ASSERT_EQ(read, (std::vector{entry("a\xff"), entry("b"), done})) << piece;
    EXPECT_FALSE(reader.broken());
    EXPECT_EQ(reader.pending(), 0u);
  }
}

class AnswerReaderRefuses : public ::testing::TestWithParam<std::pair<const char*, std::string>> {};

TEST_P(AnswerReaderRefuses, WhatNoGoodProgramSays) {
  AnswerReader reader;
  reader.feed(GetParam().second);
  while (reader.next()) continue;
  EXPECT_TRUE(reader.broken()) << GetParam().first;
  reader.feed(encode_answer({.kind = AnswerKind::kDone}));
  EXPECT_FALSE(reader.next());
}

Answer with_type(int type) {
  Answer answer = entry("a");
  answer.entry.type = static_cast<FileType>(type);
  return answer;
}

INSTANTIATE_TEST_SUITE_P(
    Hostile, AnswerReaderRefuses,
    ::testing::Values(
        std::pair{"text", std::string("hello, this is a program of the jail's")},
        std::pair{"4 GiB", std::string("\xff\xff\xff\xff", 4)}, std::pair{"an empty record", std::string(4, '\0')},
        std::pair{"no kind", encode_answer({.kind = static_cast<AnswerKind>(0)})},
        std::pair{"unknown kind", encode_answer({.kind = static_cast<AnswerKind>(9)})},
        std::pair{"unknown type", encode_answer(with_type(6))},
        std::pair{"a name with '/'", encode_answer(entry("a/b"))},
        std::pair{"a name with NUL", encode_answer(entry(std::string("a\0b", 3)))},
        std::pair{"no name", encode_answer(entry(""))}, std::pair{"dot dot", encode_answer(entry(".."))},
        std::pair{"a long name", encode_answer(entry(std::string(256, 'a')))},
        std::pair{"a number over varlink's", encode_answer({.kind = AnswerKind::kDone, .files = UINT64_MAX})},
        std::pair{"a long detail", encode_answer({.kind = AnswerKind::kFailed, .detail = std::string(2000, 'x')})},
        std::pair{"a negative errno", encode_answer({.kind = AnswerKind::kFailed, .code = -1})},
        std::pair{"an unknown limit", encode_answer({.kind = AnswerKind::kRefused, .limit = "\x1b[2J"})},
        std::pair{"more after the last", encode_answer({}) + encode_answer({})}));

}  // namespace
}  // namespace sandboxd::files
