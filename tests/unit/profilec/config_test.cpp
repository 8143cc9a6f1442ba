#include "daemon/profilec/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sandboxd::profilec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Config, EveryKeyHasADefault) {
  const Result<wire::Config> config = parse_config("{}", "f");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(*config, wire::Config{});
}

TEST(Config, ReadsEveryKey) {
  const Result<wire::Config> config = parse_config(R"({
    "id_pool": {"first": 1879310336, "count": 1024}, "cgroup_root": "/sys/fs/cgroup/jails", "profile_dirs": ["/a", "/b"],
    "default_profile": "strict", "allowed_ids": [33, 100], "uid_min": 500,
    "user_limits": {"jails": 2, "connections": 3, "calls_per_second": 4, "pending_bytes": "2M", "terminals": 5},
    "unenforced_limits": ["pids_max"]})",
                                                   "f");
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_EQ(config->id_pool_first, 1879310336U);
  EXPECT_EQ(config->id_pool_count, 1024U);
  EXPECT_EQ(config->cgroup_root, "/sys/fs/cgroup/jails");
  EXPECT_THAT(config->profile_dirs, ElementsAre("/a", "/b"));
  EXPECT_EQ(config->default_profile, "strict");
  EXPECT_THAT(config->allowed_ids, ElementsAre(33U, 100U));
  EXPECT_EQ(config->uid_min, 500U);
  EXPECT_EQ(config->user_jails, 2U);
  EXPECT_EQ(config->user_terminals, 5U);
  EXPECT_EQ(config->user_connections, 3U);
  EXPECT_EQ(config->user_calls_per_second, 4U);
  EXPECT_EQ(config->user_pending_bytes, 2U << 20);
  EXPECT_THAT(config->unenforced_limits, ElementsAre("pids_max"));
}

struct Mistake {
  const char* text;
  const char* message;
};

TEST(Config, TellsMistakesWithTheirPlace) {
  const std::vector<Mistake> mistakes = {
      {R"({"idpool": {}})", "did you mean 'id_pool'"},
      {"{\n\"id_pool\": {\"first\": 1000}}", "'/c.json' line 2, at 'id_pool.first': is 1000"},
      {R"({"id_pool": {"first": 1879048193}})", "multiple of 16"},
      {R"({"id_pool": {"count": 32}})", "key 'first' is missing"},
      {R"({"id_pool": {"first": 1879048192, "count": 17}})", "'id_pool.count'"},
      {R"({"id_pool": {"first": 2147352560}})", "ends above"},
      {R"({"id_pool": {"first": 1879048192, "last": 1}})", "unknown key 'last'"},
      {R"({"cgroup_root": "sys"})", "an absolute path"},
      {R"({"profile_dirs": ["/a/../b"]})", "'profile_dirs[0]'"},
      {R"({"profile_dirs": "/a"})", "an array"},
      {R"({"default_profile": "../x"})", "a profile's name"},
      {R"({"allowed_ids": [0]})", "from 1"},
      {R"({"allowed_ids": [1879048192]})", "outside the pool"},
      {R"({"allowed_ids": ["33"]})", "is '33'"},
      {R"({"uid_min": -1})", "is -1"},
      {R"({"uid_min": 1000.0})", "is 1000.0"},
      {R"({"uid_min": 4294967295})", "from 1 to 4294967294"},
      {R"({"user_limits": {"jails": 0}})", "'user_limits.jails'"},
      {R"({"user_limits": {"pending_bytes": "1K"}})", "1M or more"},
      {R"({"unenforced_limits": ["all"]})", "one of memory_max"},
      {R"([])", "an object"},
      {R"({"uid_min": 1000,})", "not JSON"},
      {R"({"uid_min": 1, "uid_min": 2})", "given twice"},
  };
  for (const Mistake& mistake : mistakes) {
    const Result<wire::Config> config = parse_config(mistake.text, "/c.json");
    ASSERT_FALSE(config.ok()) << mistake.text;
    EXPECT_THAT(config.error().message(), HasSubstr(mistake.message));
    EXPECT_THAT(config.error().message(), HasSubstr("'/c.json' line "));
  }
}

}  // namespace
}  // namespace sandboxd::profilec
