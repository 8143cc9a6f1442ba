#include "protocol/frame.h"

#include <gtest/gtest.h>

namespace sandboxd::protocol {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

TEST(FrameReader, TakesFramesApart) {
  FrameReader reader;
  ASSERT_TRUE(reader.feed("one\0two\0thr"sv));
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "two");
  EXPECT_FALSE(reader.has_frame());
  EXPECT_EQ(reader.next(), std::nullopt);
  ASSERT_TRUE(reader.feed("ee\0"sv));
  EXPECT_EQ(reader.next(), "three");
  EXPECT_EQ(reader.size(), 0U);
}

TEST(FrameReader, TakesBytesOneByOne) {
  FrameReader reader;
  for (const char c : "ab\0\0c\0"sv) ASSERT_TRUE(reader.feed(std::string_view(&c, 1)));
  EXPECT_EQ(reader.next(), "ab");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), "c");
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(FrameReader, TakesTheLargestFrameAndNoLarger) {
  FrameReader largest;
  EXPECT_TRUE(largest.feed(std::string(kMaxFrame, 'x')));
  EXPECT_TRUE(largest.feed("\0"sv));
  EXPECT_EQ(largest.next()->size(), kMaxFrame);

  FrameReader unfinished;
  EXPECT_FALSE(unfinished.feed(std::string(kMaxFrame + 1, 'x')));

  FrameReader finished;
  EXPECT_FALSE(finished.feed(std::string(kMaxFrame + 1, 'x') + '\0'));

  FrameReader after_another;
  EXPECT_FALSE(after_another.feed("one\0"s + std::string(kMaxFrame + 1, 'x')));
}

TEST(FrameReader, CountsWhatItHolds) {
  FrameReader reader;
  ASSERT_TRUE(
      reader.feed("12345\0"
                  "78"sv));
  EXPECT_EQ(reader.size(), 8U);
  (void)reader.next();
  EXPECT_EQ(reader.size(), 2U);
}

}  // namespace
}  // namespace sandboxd::protocol
