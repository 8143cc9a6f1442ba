// Limits that sandboxd itself keeps, as a user meets them: clocks, output_max, presets and refused options, on any host. What a
// cgroup's controllers hold is tested in tests/limits.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Verdicts : public Escape {
 protected:
  static std::string python() { return "/usr/bin/python3"; }
  static Json report_of(const Output& output) {
    std::size_t start = 0;
    while (start < output.out.size()) {
      const std::size_t end = std::min(output.out.find('\n', start), output.out.size());
      const Json line = Json::parse(output.out.substr(start, end - start), nullptr, false);
      if (line.is_object() && line.contains("report")) return line["report"];
      start = end + 1;
    }
    ADD_FAILURE() << "no report: " << describe(output);
    return Json::object();
  }
  static Json run_json(std::vector<std::string> options, const std::string& script) {
    std::vector<std::string> words = {"run", "--json", "--stdio=relay"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"--", "sh", "-c", script});
    return report_of(stack().ctl(kAlice, words));
  }
  static std::string line_of(const Output& output) {
    EXPECT_EQ(output.status, 0) << describe(output);
    return output.out.substr(0, output.out.find('\n'));
  }
};

TEST_F(Verdicts, WallTimeSaysHowLongItWas) {
  const Json report = run_json({"--timeout", "500ms"}, "sleep 1000");
  EXPECT_EQ(report.value("verdict", ""), "timeout_wall");
  EXPECT_EQ(report.value("detail", ""), "wall_time 500ms was reached");
}

TEST_F(Verdicts, CpuTimeEndsASpinningJob) {
  const Json report = run_json({"--cpu-time", "500ms", "--timeout", "100s"}, "while :; do :; done");
  EXPECT_EQ(report.value("verdict", ""), "timeout_cpu");
  EXPECT_EQ(report.value("detail", ""), "cpu_time 500ms was reached");
  const std::uint64_t used = report["usage"].value("cpu_user", 0UL) + report["usage"].value("cpu_system", 0UL);
  EXPECT_GE(used, 450'000U);
}

// The time of processes that are gone counts as well.
TEST_F(Verdicts, CpuTimeIsThatOfTheWholeTree) {
  const Json report = run_json({"--cpu-time", "500ms", "--timeout", "100s"},
                               "while :; do (i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done) & wait; done");
  EXPECT_EQ(report.value("verdict", ""), "timeout_cpu") << report;
}

TEST_F(Verdicts, IdleTimeEndsAJobThatSleeps) {
  const Json report = run_json({"--idle-time", "1s", "--timeout", "100s"}, "sleep 1000");
  EXPECT_EQ(report.value("verdict", ""), "timeout_idle");
  EXPECT_EQ(report.value("detail", ""), "idle_time 1s was reached");
  EXPECT_EQ(stack().ctl(kAlice, {"run", "--idle-time", "1s", "--", "sleep", "1000"}).status, 124);
}

TEST_F(Verdicts, OutputAndProcessorTimeAreNoIdleness) {
  const Json talks = run_json({"--idle-time", "2s"}, "for i in 1 2 3 4 5 6; do sleep 0.5; echo $i; done");
  EXPECT_EQ(talks.value("verdict", ""), "exited") << talks;
}

// Passed streams go by the daemon when a limit needs to see them.
TEST_F(Verdicts, IdleTimeSeesWhatIsPassed) {
  const Output output = stack().ctl(
      kAlice, {"run", "--idle-time", "2s", "--", "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 0.5; echo line $i; done"});
  EXPECT_EQ(output.status, 0) << describe(output);
  EXPECT_THAT(output.out, HasSubstr("line 6"));
}

TEST_F(Verdicts, E47_OutputMaxKeepsHeadAndTailAndMarksTheCut) {
  for (const std::string stdio : {"--stdio=relay", "--stdio=pass"}) {
    const Output output = stack().ctl(kAlice, {"run", stdio, "--output-max", "10K", "--timeout", "100s", "--", "sh",
                                               "-c", "echo begin; while :; do echo 0123456789abcdef; done"});
    EXPECT_EQ(output.status, 137) << describe(output);
    EXPECT_THAT(output.out,
                AllOf(testing::StartsWith("begin\n"), HasSubstr("[sandboxd: output_max 10K was reached; ")));
    EXPECT_LE(output.out.size(), 10U * 1024 + 4096 + 100) << stdio;
    EXPECT_GE(output.out.size(), 10U * 1024) << stdio;
    EXPECT_THAT(output.err, HasSubstr("output_limit"));
    EXPECT_THAT(output.err, HasSubstr("output_max 10K was reached"));
  }
}

TEST_F(Verdicts, OutputMaxCountsStandardErrorAsWell) {
  const Output output =
      stack().ctl(kAlice, {"run", "--output-max", "4K", "--", "sh", "-c", "while :; do echo abcdefgh >&2; done"});
  EXPECT_EQ(output.status, 137) << describe(output);
  EXPECT_THAT(output.err, HasSubstr("output_max 4K was reached"));
}

TEST_F(Verdicts, OutputMaxIsOfEachJobOfASession) {
  const std::string jail = line_of(stack().ctl(kAlice, {"create", "--output-max", "8K"}));
  const Output flood = stack().ctl(kAlice, {"exec", jail, "--", "sh", "-c", "while :; do echo abcdefgh; done"});
  EXPECT_EQ(flood.status, 137) << describe(flood);
  EXPECT_THAT(flood.err, HasSubstr("output_max 8K was reached"));
  const Output quiet = stack().ctl(kAlice, {"exec", jail, "--", "echo", "still here"});
  EXPECT_EQ(quiet.out, "still here\n") << describe(quiet);
  const Output less =
      stack().ctl(kAlice, {"exec", "--output-max", "100", jail, "--", "sh", "-c", "head -c 5000 /dev/zero"});
  EXPECT_EQ(less.status, 137) << describe(less);
  const Output more = stack().ctl(kAlice, {"exec", "--output-max", "9K", jail, "--", "true"});
  EXPECT_EQ(more.status, 125) << describe(more);
  EXPECT_THAT(more.err, HasSubstr("output_max"));
  EXPECT_EQ(stack().ctl(kAlice, {"rm", "--force", jail}).status, 0);
}

// The jail's own clock: its job's report says so as well.
TEST_F(Verdicts, AJobOfASessionSaysWhichLimitOfItsJailEndedIt) {
  const std::string jail = line_of(stack().ctl(kAlice, {"create", "--cpu-time", "500ms"}));
  const Output spun = stack().ctl(kAlice, {"exec", "--json", jail, "--", "sh", "-c", "while :; do :; done"});
  const Json report = report_of(spun);
  EXPECT_EQ(report.value("verdict", ""), "timeout_cpu") << describe(spun);
  EXPECT_EQ(report.value("detail", ""), "cpu_time 500ms was reached");
  EXPECT_EQ(spun.status, 124);
  const Output waited = stack().ctl(kAlice, {"wait", "--json", jail});
  EXPECT_THAT(waited.out, HasSubstr("timeout_cpu")) << describe(waited);
}

TEST_F(Verdicts, FrozenTimeIsNoIdleness) {
  const std::string jail = line_of(stack().ctl(kAlice, {"create", "--idle-time", "3s"}));
  ASSERT_EQ(stack().ctl(kAlice, {"freeze", jail}).status, 0);
  const Output wait = run([&] {
    CommandSpec spec = stack().ctl_spec(kAlice, {"wait", jail});
    spec.timeout_ms = 5'000;
    return spec;
  }());
  EXPECT_EQ(wait.status, -1) << "it ended while it was frozen: " << describe(wait);
  ASSERT_EQ(stack().ctl(kAlice, {"thaw", jail}).status, 0);
  EXPECT_THAT(stack().ctl(kAlice, {"wait", "--json", jail}).out, HasSubstr("timeout_idle"));
}

TEST_F(Verdicts, AFileThatIsTooLargeIsNamed) {
  const Json report = run_json({"--file-size-max", "4K"}, "exec head -c 100000 /dev/zero > /tmp/file");
  EXPECT_THAT(report.value("detail", ""), HasSubstr("file_size_max")) << report;
}

TEST_F(Verdicts, TheVerdictAndItsLimitAreOnRecord) {
  const Json report = run_json({"--timeout", "300ms", "--name", "on-record"}, "sleep 1000");
  const Output events = stack().ctl(kAlice, {"events", "--json"});
  EXPECT_THAT(events.out, HasSubstr("wall_time 300ms was reached"));
}

// ---- what is asked for

TEST_F(Verdicts, APresetIsCutToItsProfile) {
  const Output shown =
      stack().ctl(kAlice, {"explain", "--json", "--preset", "build", "--profile", "strict", "--", "true"});
  const Json plan = Json::parse(shown.out, nullptr, false);
  ASSERT_TRUE(plan.is_object()) << describe(shown);
  const Json& what = plan.contains("plan") ? plan["plan"] : plan;
  EXPECT_EQ(what["preset"], "build");
  EXPECT_EQ(what["limits"]["pids_max"], 64);
  EXPECT_EQ(what["limits"]["scratch_max"], 128 << 20);
  EXPECT_EQ(what["limits"]["wall_time"], 60'000'000);
}

TEST_F(Verdicts, AnOptionAboveTheProfileIsDeniedWithLimitValueAndCap) {
  const Output denied = stack().ctl(kAlice, {"run", "--profile", "strict", "--pids-max", "65", "--", "true"});
  EXPECT_EQ(denied.status, 125);
  EXPECT_THAT(denied.err, AllOf(HasSubstr("limits.pids_max"), HasSubstr("64"), HasSubstr("65"))) << describe(denied);
}

TEST_F(Verdicts, WrongOptionsAreToldByTheirNames) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--memory-max", "much"}, "--memory-max 'much': must be bytes"},
      {{"--cpu-max", "0.0001"}, "--cpu-max '0.0001': must be cores"},
      {{"--cpu-weight", "20000"}, "--cpu-weight '20000': must be 1 to 10000"},
      {{"--preset", "nosuch"}, "agent-default"},
      {{"--disk-max", "1G"}, "scratch_max bounds it"},
      {{"--output-max", "1K", "--stdio=inherit"}, "output_max"},
      {{"--idle-time", "10s", "--stdio=inherit"}, "idle_time"},
  };
  for (const auto& [options, text] : cases) {
    std::vector<std::string> words = {"run"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"--", "true"});
    CommandSpec spec = stack().ctl_spec(kAlice, words);
    const Output refused = run(spec);
    EXPECT_EQ(refused.status, 125) << options.front();
    EXPECT_THAT(refused.err, HasSubstr(text)) << options.front();
  }
}

TEST_F(Verdicts, LimitsReachTheJob) {
  const Output output =
      stack().ctl(kAlice, {"run", "--nofile", "77", "--file-size-max", "1M", "--scratch-max", "64M", "--", "sh", "-c",
                           "ulimit -n; ulimit -f; df -k --output=size /tmp | tail -n 1"});
  EXPECT_EQ(output.status, 0) << describe(output);
  EXPECT_THAT(output.out, testing::StartsWith("77\n"));
  const std::size_t last = output.out.find_last_of('\n', output.out.size() - 2);
  EXPECT_LT(std::stoul(output.out.substr(last + 1)), 64U * 1024) << output.out;
}

TEST_F(Verdicts, StatsShowALiveJailAndNoOther) {
  const std::string jail = line_of(stack().ctl(kAlice, {"create", "--name", "watched"}));
  const Output one = stack().ctl(kAlice, {"stats", "--json", "watched"});
  const Json stats = Json::parse(one.out, nullptr, false);
  ASSERT_TRUE(stats.is_object()) << describe(one);
  EXPECT_EQ(stats["jail"], jail);
  EXPECT_GT(stats["usage"].value("wall", 0UL), 0U);
  EXPECT_TRUE(stats.contains("pids_max"));
  EXPECT_EQ(stack().ctl(kBob, {"stats", "watched"}).status, 125);
  EXPECT_THAT(stack().ctl(kBob, {"stats"}).out, Not(HasSubstr(jail)));
  EXPECT_EQ(stack().ctl(kAlice, {"rm", "--force", jail}).status, 0);
  EXPECT_EQ(stack().ctl(kAlice, {"stats", "watched"}).status, 125);
}

TEST_F(Verdicts, AnUpdateIsHeldAgainstTheProfile) {
  const std::string jail = line_of(stack().ctl(kAlice, {"create", "--profile", "strict"}));
  const Output wide = stack().ctl(kAlice, {"update", "--memory-max", "2G", jail});
  EXPECT_EQ(wide.status, 125);
  EXPECT_THAT(wide.err, AllOf(HasSubstr("limits.memory_max"), HasSubstr("1G"))) << describe(wide);
  const Output nothing = stack().ctl(kAlice, {"update", jail});
  EXPECT_EQ(nothing.status, 125) << describe(nothing);
  EXPECT_EQ(stack().ctl(kBob, {"update", "--memory-max", "1M", jail}).status, 125);
  EXPECT_EQ(stack().ctl(kAlice, {"rm", "--force", jail}).status, 0);
}

}  // namespace
}  // namespace sandboxd::test
