#include "sandboxd-client/ctl/signals.h"

#include <csignal>

#include <gtest/gtest.h>

namespace sandboxd::ctl {
namespace {

TEST(SignalNumber, TakesNamesAndNumbers) {
  for (const char* text : {"TERM", "SIGTERM", "term", "sigterm", "15"}) EXPECT_EQ(signal_number(text), SIGTERM) << text;
  EXPECT_EQ(signal_number("USR1"), SIGUSR1);
  EXPECT_EQ(signal_number("64"), 64);
}

TEST(SignalNumber, RefusesTheRest) {
  for (const char* text : {"", "0", "65", "-9", "09", "NOSUCH", "SIG", "SIGSIGTERM", "TERM "})
    EXPECT_EQ(signal_number(text), std::nullopt) << text;
}

}  // namespace
}  // namespace sandboxd::ctl
