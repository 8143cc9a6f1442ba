#include "protocol/codec.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/frame.h"

namespace sandboxd::protocol {
namespace {

JobSpec full_spec() {
  return {
      .argv = {"prog", "", "\xff\xfe", "two\nlines"},
      .env = {{"A", "1"}, {"B", ""}, {"\xfe", "\xff"}},
      .profile = "strict",
      .name = "build-7",
      .token = std::array<std::uint8_t, 16>{1, 2, 3, 255},
      .workspace = Bind{0, "/home/user", Access::kRw},
      .binds = {{1, "/data", Access::kRo}, {2, "/d\xe9", Access::kRw}},
      .root = Root::kDirectory,
      .root_fd = 3,
      .tmpfs = {{"/scratch", 4096}, {"/cache", std::nullopt}},
      .dirs = {"/empty"},
      .hostname = "box.example",
      .workdir = "/home/user/x",
      .user_root = true,
      .network = Network::kHost,
      .wall_time = 5'000'000,
      .stdio = Stdio::kInherit,
      .stdio_fds = {4, 5, 5},
      .stdin_data = std::nullopt,
  };
}

JobReport full_report() {
  return {
      .jail = "j1",
      .profile = "default",
      .profile_hash = "ab",
      .verdict = Verdict::kSignalled,
      .exit_code = std::nullopt,
      .signal = 9,
      .detail = "why",
      .usage = {1, 2, 3, 4},
      .enforced_by = {{"pids_max", "RLIMIT_NPROC"}},
      .unenforced = {"memory_max"},
      .audit_index = 77,
  };
}

JailInfo full_info() {
  return {
      .jail = "j1",
      .name = "n",
      .profile = "default",
      .state = "ended",
      .uid = 1000,
      .argv = {"prog", "\xff"},
      .argv_cut = false,
      .started = 1'700'000'000'000'000,
      .report = full_report(),
      .in_force = {{"Seccomp", "2"}},
      .profile_hash = "cc",
  };
}

template <class T> T through_text(const T& value) {
  Json parsed;
  EXPECT_EQ(parse_json(to_text(encode(value)), parsed), std::nullopt);
  T out;
  const Checked wrong = decode(parsed, "", out);
  EXPECT_EQ(wrong, std::nullopt) << (wrong ? wrong->message() : "");
  return out;
}

// The failure of a good spec with these fields put over it, given as JSON text.
Checked check_spec(const std::string& patch) {
  Json value = Json::parse(R"({"argv":["true"],"token":"00112233445566778899aabbccddeeff"})");
  Json over;
  EXPECT_EQ(parse_json(patch, over), std::nullopt) << patch;
  for (const auto& [key, field] : over.items()) value[key] = field;
  JobSpec out;
  return decode(value, "/parameters/spec", out);
}

TEST(JobSpec, SurvivesTheWay) {
  EXPECT_EQ(through_text(full_spec()), full_spec());
  JobSpec relay{.argv = {"cat"}, .stdio = Stdio::kRelay, .stdin_data = std::string("\0\xff", 2)};
  EXPECT_EQ(through_text(relay), relay);
}

TEST(JobSpec, NeedsNothingButArgv) {
  JobSpec out;
  ASSERT_EQ(decode(Json{{"argv", {"true"}}}, "", out), std::nullopt);
  EXPECT_EQ(out, JobSpec{.argv = {"true"}});
}

TEST(JobSpec, NullIsAbsent) {
  EXPECT_EQ(check_spec(R"({"env":null,"workspace":null,"wall_time":null,"stdio":null})"), std::nullopt);
}

TEST(JobSpec, TakesBothFormsOfBytes) {
  JobSpec out;
  ASSERT_EQ(decode(Json{{"argv", {Json{{"b64", "/w=="}}, "x", Json{{"b64", "eA=="}}}}}, "", out), std::nullopt);
  EXPECT_EQ(out.argv, (std::vector<std::string>{"\xff", "x", "x"}));
}

struct Bad {
  std::string patch, path;  // below /parameters/spec
};

void expect_refused(const std::vector<Bad>& table) {
  for (const Bad& bad : table) {
    const Checked wrong = check_spec(bad.patch);
    ASSERT_NE(wrong, std::nullopt) << bad.patch;
    EXPECT_EQ(wrong->path, "/parameters/spec" + bad.path) << bad.patch;
    EXPECT_FALSE(wrong->expected.empty()) << bad.patch;
  }
}

TEST(JobSpec, RefusesUnknownKeysAtEveryLevel) {
  expect_refused({
      {R"({"extra":1})", "/extra"},
      {R"({"Argv":["x"]})", "/Argv"},
      {R"({"env":[{"name":"A","value":"1","x":1}]})", "/env/0/x"},
      {R"({"workspace":{"fd":0,"target":"/w","mode":1}})", "/workspace/mode"},
      {R"({"tmpfs":[{"path":"/t"},{"path":"/u","inodes":1}]})", "/tmpfs/1/inodes"},
  });
}

TEST(JobSpec, RefusesNumbersThatAreNotExact) {
  for (const char* number : {"\"1\"", "-1", "-0", "1.0", "1e3", "1E0", "0.5", "true", "[1]", "{}",
                             "9223372036854775808", "18446744073709551616", "316224000000001"}) {
    expect_refused({{fmt::format(R"({{"wall_time":{}}})", number), "/wall_time"}});
  }
  expect_refused({
      {R"({"wall_time":0})", "/wall_time"},
      {R"({"workspace":{"fd":15,"target":"/w"}})", "/workspace/fd"},
      {R"({"workspace":{"fd":1.0,"target":"/w"}})", "/workspace/fd"},
      {R"({"tmpfs":[{"path":"/t","size":0}]})", "/tmpfs/0/size"},
      {R"({"stdio":"inherit","stdio_fds":[0,1,4294967296]})", "/stdio_fds/2"},
  });
}

TEST(JobSpec, RefusesTextThatIsNotExact) {
  expect_refused({
      {R"({"argv":[]})", "/argv"},
      {R"({"argv":"true"})", "/argv"},
      {R"({"argv":[""]})", "/argv"},
      {R"({"argv":["a\u0000b"]})", "/argv/0"},
      {R"({"argv":["a",{"b64":"AGE="}]})", "/argv/1"},
      {R"({"argv":[1]})", "/argv/0"},
      {R"({"env":[{"name":"A=B","value":""}]})", "/env/0/name"},
      {R"({"env":[{"name":"","value":""}]})", "/env/0/name"},
      {R"({"env":[{"name":"A"}]})", "/env/0/value"},
      {R"({"env":[{"name":"A","value":"\u0000"}]})", "/env/0/value"},
      {R"({"env":[{"name":"A","value":"1"},{"name":{"b64":"QQ=="},"value":"2"}]})", "/env/1/name"},
      {R"({"env":{"A":"1"}})", "/env"},
      {R"({"profile":"../etc"})", "/profile"},
      {R"({"profile":""})", "/profile"},
      {R"({"name":"-x"})", "/name"},
      {R"({"name":"a b"})", "/name"},
      {R"({"name":{"b64":"QQ=="}})", "/name"},
      {R"({"hostname":"a..b"})", "/hostname"},
      {R"({"hostname":"a_b"})", "/hostname"},
      {R"({"token":"00112233445566778899AABBCCDDEEFF"})", "/token"},
      {R"({"token":"0011"})", "/token"},
      {R"({"user_root":1})", "/user_root"},
      {R"({"user_root":"true"})", "/user_root"},
  });
}

TEST(JobSpec, RefusesPathsThatAreNotCanonical) {
  for (const char* path : {"", "a", "/a/", "/a//b", "/a/../b", "/a/.", "./a", "/a\\u0000"}) {
    expect_refused({
        {fmt::format(R"({{"workdir":"{}"}})", path), "/workdir"},
        {fmt::format(R"({{"workspace":{{"fd":0,"target":"{}"}}}})", path), "/workspace/target"},
        {fmt::format(R"({{"tmpfs":[{{"path":"{}"}}]}})", path), "/tmpfs/0/path"},
        {fmt::format(R"({{"dirs":["/ok","{}"]}})", path), "/dirs/1"},
    });
  }
}

TEST(JobSpec, RefusesNamesThatAnEnumerationLacks) {
  expect_refused({
      {R"({"network":"NONE"})", "/network"},
      {R"({"network":0})", "/network"},
      {R"({"stdio":"pty"})", "/stdio"},
      {R"({"root":"Usr"})", "/root"},
      {R"({"binds":[{"fd":0,"target":"/a","access":"rwx"}]})", "/binds/0/access"},
  });
}

TEST(JobSpec, FieldsThatNeedEachOther) {
  expect_refused({
      {R"({"token":null,"workspace":{"fd":0,"target":"/w"}})", "/token"},
      {R"({"token":null,"binds":[{"fd":0,"target":"/w"}]})", "/token"},
      {R"({"token":null,"root":"directory","root_fd":0})", "/token"},
      {R"({"token":null,"stdio":"inherit","stdio_fds":[0,1,2]})", "/token"},
      {R"({"root":"directory"})", "/root_fd"},
      {R"({"root_fd":1})", "/root_fd"},
      {R"({"stdio":"inherit"})", "/stdio_fds"},
      {R"({"stdio_fds":[0,1,2]})", "/stdio_fds"},
      {R"({"stdio":"inherit","stdio_fds":[0,1]})", "/stdio_fds"},
      {R"({"stdio":"null","stdin_data":"x"})", "/stdin_data"},
  });
}

TEST(JobSpec, BoundsCountsAndSizes) {
  Json many = Json::array();
  for (std::size_t i = 0; i <= kMaxArgv; ++i) many.push_back("x");
  expect_refused({
      {Json{{"argv", many}}.dump(), "/argv"},
      {Json{{"dirs", std::vector<std::string>(kMaxDirs + 1, "/d")}}.dump(), "/dirs"},
      {Json{{"argv", {std::string(kMaxText + 1, 'x')}}}.dump(), "/argv/0"},
      {Json{{"env", {Json{{"name", "A"}, {"value", std::string(kMaxText - 1, 'x')}}}}}.dump(), "/env/0/value"},
      {Json{{"stdin_data", std::string(kMaxStdin + 1, 'x')}}.dump(), "/stdin_data"},
  });
  EXPECT_EQ(check_spec(Json{{"argv", {std::string(kMaxText, 'x')}}}.dump()), std::nullopt);
  EXPECT_EQ(check_spec(Json{{"env", {Json{{"name", "A"}, {"value", std::string(kMaxText - 2, 'x')}}}}}.dump()),
            std::nullopt);
}

TEST(JobReport, SurvivesTheWay) {
  EXPECT_EQ(through_text(full_report()), full_report());
  for (std::uint8_t verdict = 0; verdict <= static_cast<std::uint8_t>(Verdict::kStuck); ++verdict) {
    const JobReport report{.verdict = static_cast<Verdict>(verdict), .exit_code = 3};
    EXPECT_EQ(through_text(report), report);
    EXPECT_FALSE(name_of(report.verdict).empty());
  }
}

TEST(JobReport, NeedsItsFields) {
  JobReport out;
  const Json whole = encode(full_report());
  for (const auto& [key, value] : whole.items()) {
    if (key == "signal") continue;
    Json lacking = whole;
    lacking.erase(key);
    const Checked wrong = decode(lacking, "/r", out);
    ASSERT_NE(wrong, std::nullopt) << key;
    EXPECT_EQ(wrong->path, "/r/" + key);
  }
}

TEST(JailInfo, SurvivesTheWay) { EXPECT_EQ(through_text(full_info()), full_info()); }

TEST(JailInfo, RefusesWhatIsNoUid) {
  for (const Json& uid :
       {Json("1"), Json(-1), Json(4294967295U), Json(4294967296U), Json(1.0), Json(1e3), Json(true)}) {
    Json value = encode(full_info());
    value["uid"] = uid;
    JailInfo out;
    const Checked wrong = decode(value, "", out);
    ASSERT_NE(wrong, std::nullopt) << uid;
    EXPECT_EQ(wrong->path, "/uid");
  }
}

TEST(JailInfo, CutsArgvAndSaysSo) {
  JailInfo info = full_info();
  info.argv = {"prog", std::string(5000, 'x') + "\u00e9", "last"};
  JailInfo out;
  ASSERT_EQ(decode(encode(info, 100), "", out), std::nullopt);
  EXPECT_TRUE(out.argv_cut);
  EXPECT_EQ(out.argv, (std::vector<std::string>{"prog", std::string(95, 'x')}));
  ASSERT_EQ(decode(encode(info, 5 + 5001), "", out), std::nullopt);
  EXPECT_EQ(out.argv.at(1), std::string(5000, 'x')) << "no half of a letter";
}

TEST(JailInfo, FitsAFrameWhateverTheArguments) {
  JailInfo info = full_info();
  info.argv.assign(kMaxArgv, std::string(60, '\x01'));
  EXPECT_LT(to_text(encode(info)).size(), kMaxFrame / 4);
}

TEST(Names, AreWhatTheySay) {
  for (const std::string_view good : {"a", "A1", "build-7", "x.y_z", "0"}) EXPECT_TRUE(is_name(good)) << good;
  for (const std::string_view bad : {"", ".", "..", "-a", "a/b", "a b", "\u00e9"}) EXPECT_FALSE(is_name(bad)) << bad;
  EXPECT_TRUE(is_name(std::string(64, 'x')));
  EXPECT_FALSE(is_name(std::string(65, 'x')));
  for (const std::string_view good : {"a", "a.b", "a-b.c0"}) EXPECT_TRUE(is_hostname(good)) << good;
  for (const std::string_view bad : {"", ".", "a.", ".a", "-a", "a-", "a_b"}) EXPECT_FALSE(is_hostname(bad)) << bad;
}

TEST(Denials, ComeBackAsTheyWere) {
  const Denials all{{{DenialKind::kNetwork, "socket(AF_NETLINK)", "f.json line 7: why", "do this", "EPERM", 2, 7, 99},
                     {DenialKind::kLimit, "pids_max", "", "", "", 0, 1, 0}},
                    3,
                    4};
  Denials back;
  EXPECT_FALSE(decode(encode(all), "", back));
  EXPECT_EQ(back, all);
}

TEST(LearnedProfile, ComesBackAsItWas) {
  const LearnedProfile learned{"{\"name\": \"x\"}\n", "{}\n", 3, 4};
  LearnedProfile back;
  EXPECT_FALSE(decode(encode(learned), "", back));
  EXPECT_EQ(back, learned);
}

TEST(Denials, ARequestAsksForThemButNotWithItsOwnStreams) {
  Json spec = {{"argv", {"x"}}, {"explain_denials", true}};
  JobSpec run;
  EXPECT_FALSE(decode(spec, "", run));
  EXPECT_TRUE(run.explain_denials);
  EXPECT_TRUE(encode(run).value("explain_denials", false));
  ExecSpec exec;
  EXPECT_FALSE(decode(spec, "", exec));
  EXPECT_TRUE(exec.explain_denials);
  spec["stdio"] = "inherit";
  spec["stdio_fds"] = {0, 1, 2};
  spec["token"] = std::string(32, 'a');
  const Checked wrong = decode(spec, "/spec", run);
  ASSERT_TRUE(wrong);
  EXPECT_NE(wrong->message().find("/spec/explain_denials"), std::string::npos) << wrong->message();
}

}  // namespace
}  // namespace sandboxd::protocol
