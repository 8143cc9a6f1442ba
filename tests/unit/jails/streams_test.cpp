// The relay alone, on real pipes and a real PTY.
#include "daemon/jails/streams.h"

#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/unit/jails/fakes.h"

namespace sandboxd::jails {
namespace {

class Relay : public testing::Test {
 protected:
  struct Ends {
    UniqueFd input{}, output{}, error{};
  };
  Ends start(Streams::Options options) {
    std::vector<UniqueFd> outer;
    Ends inner;
    for (UniqueFd* mine : {&inner.input, &inner.output, &inner.error}) {
      int ends[2];
      EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
      const int out = mine == &inner.input ? 1 : 0;
      outer.emplace_back(ends[out]);
      mine->reset(ends[1 - out]);
    }
    EXPECT_TRUE(streams_.start(loop_.get(), std::move(outer), std::move(options), [this] { done_ = true; }).ok());
    return inner;
  }
  static std::string read_some(int fd) {
    static char bytes[1 << 18];
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    return got > 0 ? std::string(bytes, static_cast<std::size_t>(got)) : "";
  }
  static bool fill(int fd) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    const std::string chunk(65536, 'x');
    return ::write(fd, chunk.data(), chunk.size()) > 0;
  }

  test::Loop loop_ = test::make_loop();
  Streams streams_;
  bool done_ = false;
};

TEST_F(Relay, AReaderWhoDoesNotReadMakesTheJobWait) {
  Streams::Options options;
  options.attachable = true;
  Ends inner = start(std::move(options));
  std::shared_ptr<void> token;
  auto theirs = std::move(streams_.attach(0, token)).value();
  ASSERT_NE(token, nullptr) << "who attaches asks whether there is one";
  std::size_t written = 0;
  for (int i = 0; i < 200; ++i) {
    written += fill(inner.output.get()) ? 1 : 0;
    test::run_for(loop_.get(), 1'000);
  }
  EXPECT_LT(written, 60U) << "what two pipes hold, and a chunk";
  token.reset();
  EXPECT_TRUE(test::run_until(loop_.get(), [&] { return fill(inner.output.get()); })) << "without a reader it goes on";
}

TEST_F(Relay, AReaderWhoHungUpIsGone) {
  Streams::Options options;
  options.attachable = true;
  Ends inner = start(std::move(options));
  std::shared_ptr<void> token;
  auto theirs = std::move(streams_.attach(0, token)).value();
  EXPECT_EQ(streams_.attached(), 1U);
  theirs.clear();
  EXPECT_TRUE(test::run_until(loop_.get(), [&] { return streams_.attached() == 0; }));
}

TEST_F(Relay, TheLastBytesAreGivenToWhoComesLate) {
  Streams::Options options;
  options.attachable = true;
  Ends inner = start(std::move(options));
  ASSERT_EQ(::write(inner.output.get(), "hello", 5), 5);
  test::run_for(loop_.get(), 20'000);
  std::shared_ptr<void> token;
  auto theirs = std::move(streams_.attach(3, token)).value();
  EXPECT_EQ(read_some(theirs[1].get()), "llo");
}

TEST_F(Relay, OfAJobThatHasEndedGivesItsLastBytesAndTheEnd) {
  Streams::Options options;
  options.attachable = true;
  Ends inner = start(std::move(options));
  ASSERT_EQ(::write(inner.output.get(), "bye", 3), 3);
  inner = {};
  ASSERT_TRUE(test::run_until(loop_.get(), [&] { return done_; }));
  std::shared_ptr<void> token;
  auto theirs = std::move(streams_.attach(64, token)).value();
  EXPECT_EQ(read_some(theirs[1].get()), "bye");
  EXPECT_EQ(::read(theirs[1].get(), nullptr, 0), 0);
}

TEST_F(Relay, TheOnlyReadersEndIsTheJobs) {
  Streams::Options options;
  options.keep_input = true;
  Ends inner = start(std::move(options));
  std::shared_ptr<void> token;
  auto theirs = std::move(streams_.attach(0, token)).value();
  theirs.clear();
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_TRUE(test::run_until(loop_.get(), [&] { return ::write(inner.output.get(), "x", 1) < 0 && errno == EPIPE; }));
}

TEST_F(Relay, WhatIsLoggedIsReadToo) {
  char folder[] = "/tmp/streams-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  Streams::Options options;
  options.keep_input = true;
  options.log = std::move(JobLog::create(folder, "j.1")).value();
  const std::shared_ptr<JobLog> log = options.log;
  Ends inner = start(std::move(options));
  std::shared_ptr<void> token;
  auto theirs = std::move(streams_.attach(0, token)).value();
  ::fcntl(inner.output.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(theirs[1].get(), F_SETFL, O_NONBLOCK);
  constexpr std::size_t kTotal = 3U << 20;
  std::size_t written = 0, read = 0;
  std::string piece(50'000, 'x');
  ASSERT_TRUE(test::run_until(loop_.get(), [&] {
    if (written < kTotal) {
      const ssize_t wrote = ::write(inner.output.get(), piece.data(), std::min(piece.size(), kTotal - written));
      if (wrote > 0) written += static_cast<std::size_t>(wrote);
      if (written == kTotal) inner.output.reset();
    }
    read += read_some(theirs[1].get()).size();
    return read == kTotal;
  }));
  inner = {};
  ASSERT_TRUE(test::run_until(loop_.get(), [&] { return done_; }));
  JobLog::Place place;
  std::size_t logged = 0;
  while (const auto kept = std::move(log->read(place)).value()) logged += kept->bytes.size();
  EXPECT_EQ(logged, kTotal);
  token.reset();
  streams_.stop();
  std::filesystem::remove_all(folder);
}

TEST_F(Relay, AWriterThatStaysCantHoldTheEndBack) {
  Streams::Options options;
  options.attachable = true;
  const Ends inner = start(std::move(options));
  streams_.writers_are_gone();
  EXPECT_TRUE(test::run_until(loop_.get(), [&] { return done_; }));
}

// jail-init makes the pipes and can keep them: O_NONBLOCK is the open file's, not ours alone (fcntl(2)).
class MadeToBlock : public Relay {
 protected:
  // Standard input's read end, standard output's write end, and what jail-init kept of the other ends.
  void start_kept(std::string input) {
    std::vector<UniqueFd> outer;
    for (const bool is_input : {true, false}) {
      int ends[2];
      ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
      outer.emplace_back(ends[is_input ? 1 : 0]);
      (is_input ? input_ : output_).reset(ends[is_input ? 0 : 1]);
      (is_input ? kept_input_ : kept_output_).reset(::fcntl(outer.back().get(), F_DUPFD_CLOEXEC, 3));
    }
    Streams::Options options;
    options.kind = StreamKind::kMerged;
    options.input = std::move(input);
    options.attachable = true;
    ASSERT_TRUE(streams_.start(loop_.get(), std::move(outer), std::move(options), [this] { done_ = true; }).ok());
  }
  UniqueFd input_, output_, kept_input_, kept_output_;
};

TEST_F(MadeToBlock, E91_StandardInputHoldsNobodyUp) {
  start_kept(std::string(4 << 20, 'x'));
  ASSERT_EQ(::fcntl(kept_input_.get(), F_SETFL, 0), 0);
  static_cast<void>(read_some(input_.get()));  // room for some of it, so that it is written on
  ::alarm(20);
  test::run_for(loop_.get(), 100'000);
  ::alarm(0);
  ASSERT_EQ(::write(output_.get(), "x", 1), 1);
  output_.reset();
  kept_output_.reset();
  EXPECT_TRUE(test::run_until(loop_.get(), [&] { return done_; })) << "the loop goes on";
}

}  // namespace
}  // namespace sandboxd::jails
