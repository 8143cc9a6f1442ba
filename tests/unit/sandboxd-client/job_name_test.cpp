#include "sandboxd-client/ctl/job_name.h"

#include <gtest/gtest.h>

namespace sandboxd::ctl {
namespace {

TEST(JobName, IsAJailOrAJobOfOne) {
  EXPECT_EQ(job_name_from_text("j-1"), (JobName{"j-1", 0}));
  EXPECT_EQ(job_name_from_text("build/2"), (JobName{"build", 2}));
  EXPECT_EQ(job_name_from_text("b/4294967295"), (JobName{"b", 4294967295U}));
}

TEST(JobName, RefusesTheRest) {
  for (const char* text : {"", "/1", "b/", "b/0", "b/x", "b/1/2", "b/4294967296", "b/+1", "b/01"}) {
    EXPECT_FALSE(job_name_from_text(text)) << text;
  }
}

TEST(JobName, IsWrittenAsItIsRead) {
  for (const char* text : {"j-1", "build/2"}) EXPECT_EQ(to_text(*job_name_from_text(text)), text);
}

}  // namespace
}  // namespace sandboxd::ctl
