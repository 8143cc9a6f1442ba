// The profile format: keys, inheritance, and mistakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "seccomp-profiles/model/profile.h"

namespace sandboxd::filters {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Files by name, lowest first.
ProfileSource source_of(std::map<std::string, std::vector<std::string>> files) {
  return [files = std::move(files)](std::string_view name) -> Result<std::vector<SourceText>> {
    std::vector<SourceText> found;
    const auto texts = files.find(std::string(name));
    if (texts == files.end()) return found;
    for (std::size_t i = 0; i < texts->second.size(); ++i)
      found.push_back({fmt::format("/{}/{}.json", i, name), texts->second[i]});
    return found;
  };
}

const std::string kWhole =
    R"({"name":"p","description":"d","filter":"default","roots":["usr"],"networks":["none"],"workspace":["ro"],
"binds":[],"proc":"full","unix_sockets":"none","user_root":true,"tmpfs":[{"path":"/tmp","size":"1M","inodes":10}],"tmpfs_free":false,
"etc":["ssl/certs"],"env":{"PATH":"/bin"},
"limits":{"wall_time":"90s","nofile":10,"file_size_max":"infinity","pids_max":5,"scratch_max":"2M","inodes_max":20}})";

// kWhole with more keys at its end.
std::string with_more(const std::string& more) { return kWhole.substr(0, kWhole.size() - 1) + "," + more + "}"; }

// Those of kWhole but for these; what it doesn't name has no cap.
Limits caps(std::uint64_t wall_time, std::uint64_t nofile) {
  Limits limits = no_limits();
  limits.wall_time = wall_time;
  limits.nofile = nofile;
  limits.pids_max = 5;
  limits.scratch_max = 2U << 20;
  limits.inodes_max = 20;
  return limits;
}

// kWhole with the first `from` replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kWhole;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string fault_of(const std::string& text) {
  const Result<Profile> profile = load_profile("p", source_of({{"p", {text}}}));
  return profile.ok() ? "" : profile.error().message();
}

TEST(ProfileFormat, ReadsEveryKey) {
  const Result<Profile> profile = load_profile("p", source_of({{"p", {kWhole}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->filter, "default");
  EXPECT_THAT(profile->roots, ElementsAre("usr"));
  EXPECT_THAT(profile->binds, testing::IsEmpty());
  EXPECT_EQ(profile->proc, "full");
  EXPECT_EQ(profile->unix_sockets, "none");
  EXPECT_TRUE(profile->user_root);
  EXPECT_FALSE(profile->tmpfs_free);
  EXPECT_THAT(profile->tmpfs, ElementsAre(ProfileTmpfs{"/tmp", 1U << 20, 10, 01777}));
  EXPECT_THAT(profile->etc, ElementsAre("ssl/certs"));
  EXPECT_EQ(profile->env.at("PATH"), "/bin");
  EXPECT_EQ(profile->limits, caps(90'000'000, 10));
}

TEST(ProfileFormat, CapsEveryLimit) {
  const Result<Profile> profile = load_profile(
      "p", source_of({{"p",
                       {changed("\"nofile\":10",
                                R"("nofile":10,"memory_max":"1G","memory_high":"900M","memory_swap_max":0,"cpu_max":0.5,
"cpu_weight":50,"cpu_time":"10s","idle_time":5,"output_max":"1M","io_max_rbps":"10M","io_max_wbps":"infinity","io_max_riops":100,
"io_max_wiops":"infinity")")}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  Limits expected = caps(90'000'000, 10);
  expected.memory_max = 1ULL << 30;
  expected.memory_high = 900ULL << 20;
  expected.memory_swap_max = 0;
  expected.cpu_max = 500;
  expected.cpu_weight = 50;
  expected.cpu_time = 10'000'000;
  expected.idle_time = 5'000'000;
  expected.output_max = 1U << 20;
  expected.io_max_rbps = 10U << 20;
  expected.io_max_riops = 100;
  EXPECT_EQ(profile->limits, expected);
}

struct Mistake {
  std::string name;
  std::string text;
  std::vector<std::string> message;
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }
class ProfileMistake : public testing::TestWithParam<Mistake> {};

TEST_P(ProfileMistake, IsToldWithItsPlaceAndRemedy) {
  const std::string message = fault_of(GetParam().text);
  EXPECT_THAT(message, HasSubstr("'/0/p.json' line "));
  for (const std::string& part : GetParam().message) EXPECT_THAT(message, HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(
    All, ProfileMistake,
    testing::Values(
        Mistake{
            "UnknownKey", changed("\"binds\"", "\"bind\""), {"line 2", "unknown key 'bind'", "did you mean 'binds'"}},
        Mistake{"MissingKey", changed("\"proc\":\"full\",", ""), {"key 'proc' is missing", "\"inherits\""}},
        Mistake{
            "UnknownWord", changed("\"usr\"", "\"user\""), {"'roots[0]'", "is 'user'", "one of usr, directory, host"}},
        Mistake{"WordTwice", changed("[\"usr\"]", "[\"usr\",\"usr\"]"), {"'roots[1]'", "listed twice"}},
        Mistake{"NoRoot", changed("[\"usr\"]", "[]"), {"'roots'", "is empty"}},
        Mistake{"NoNetwork", changed("[\"none\"]", "[]"), {"'networks'", "is empty"}},
        Mistake{"WrongType",
                changed("\"user_root\":true", "\"user_root\":\"yes\""),
                {"'user_root'", "is 'yes'", "true or false"}},
        Mistake{"NumberAsText",
                changed("\"nofile\":10", "\"nofile\":\"10\""),
                {"'limits.nofile'", "is '10'", "an integer"}},
        Mistake{"Fraction", changed("\"nofile\":10", "\"nofile\":10.0"), {"'limits.nofile'", "is 10.0"}},
        Mistake{"Negative", changed("\"nofile\":10", "\"nofile\":-1"), {"'limits.nofile'", "is -1"}},
        Mistake{"Zero", changed("\"pids_max\":5", "\"pids_max\":0"), {"'limits.pids_max'", "from 1"}},
        Mistake{"ZeroTime", changed("\"90s\"", "0"), {"'limits.wall_time'", "\"infinity\""}},
        Mistake{"WrongTime", changed("\"90s\"", "\"90 s\""), {"'limits.wall_time'", "is '90 s'", "'5min'"}},
        Mistake{"WrongSize", changed("\"1M\"", "\"1MB\""), {"'tmpfs[0].size'", "is '1MB'", "'512M'"}},
        Mistake{"InfiniteScratch", changed("\"2M\"", "\"infinity\""), {"'limits.scratch_max'"}},
        Mistake{"UnknownLimit",
                changed("\"nofile\":10", "\"nofile\":10,\"memory\":1"),
                {"'limits'", "unknown key 'memory'"}},
        Mistake{"InfiniteProcesses",
                changed("\"pids_max\":5", "\"pids_max\":\"infinity\""),
                {"'limits.pids_max'", "an integer"}},
        Mistake{"PartsOfACore",
                changed("\"nofile\":10", "\"nofile\":10,\"cpu_max\":0.0001"),
                {"'limits.cpu_max'", "is 0.0001", "cores"}},
        Mistake{"HalfInAProfile",
                changed("\"nofile\":10", "\"nofile\":10,\"memory_max\":\"half\""),
                {"'limits.memory_max'", "is 'half'"}},
        Mistake{"MissingLimit", changed("\"nofile\":10,", ""), {"limit 'nofile' is missing"}},
        Mistake{"TmpfsOverScratch", changed("\"1M\"", "\"3M\""), {"more than limits.scratch_max"}},
        Mistake{"TmpfsOverInodes", changed("\"inodes\":10", "\"inodes\":21"), {"more than limits.inodes_max"}},
        Mistake{"TmpfsPath", changed("\"/tmp\"", "\"/tmp/../etc\""), {"'tmpfs[0].path'", "without '.', '..'"}},
        Mistake{"TmpfsOnRoot", changed("\"/tmp\"", "\"/\""), {"'tmpfs[0].path'"}},
        Mistake{"TmpfsMode", changed("\"inodes\":10", "\"inodes\":10,\"mode\":\"4777\""), {"'tmpfs[0].mode'", "octal"}},
        Mistake{"EtcPath", changed("\"ssl/certs\"", "\"../root\""), {"'etc[0]'", "a name below /etc"}},
        Mistake{"EtcAbsolute", changed("\"ssl/certs\"", "\"/etc/ssl\""), {"'etc[0]'"}},
        Mistake{"EtcShadow", changed("\"ssl/certs\"", "\"shadow\""), {"'etc[0]'", "'shadow'"}},
        Mistake{"EnvName", changed("\"PATH\"", "\"A=B\""), {"'env.A=B'", "no variable's name"}},
        Mistake{"EnvNul", changed("\"/bin\"", "\"/bin\\u0000\""), {"'env.PATH'", "without NUL"}},
        Mistake{"WrongName", changed("\"name\":\"p\"", "\"name\":\"q\""), {"'name'", "expected 'p'"}},
        Mistake{
            "FilterPath", changed("\"filter\":\"default\"", "\"filter\":\"../x\""), {"'filter'", "without '.json'"}},
        Mistake{"InheritsNothing",
                changed("\"filter\"", "\"inherits\":\"nothere\",\"filter\""),
                {"'inherits'", "a profile that exists"}},
        Mistake{"InheritsItself",
                changed("\"filter\"", "\"inherits\":\"p\",\"filter\""),
                {"'inherits'", "overrides no file"}}),
    [](const auto& mistake) { return mistake.param.name; });

TEST(ProfileInheritance, ReplacesKeyByKey) {
  const std::string child = R"({"name":"c","description":"child","inherits":"p","proc":"pid","etc":[],
    "env":{"LANG":"C"},"limits":{"nofile":9,"wall_time":"infinity"}})";
  const Result<Profile> profile = load_profile("c", source_of({{"p", {kWhole}}, {"c", {child}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->name, "c");
  EXPECT_EQ(profile->description, "child");
  EXPECT_EQ(profile->proc, "pid");
  EXPECT_EQ(profile->filter, "default");
  EXPECT_THAT(profile->etc, testing::IsEmpty());
  EXPECT_EQ(profile->env.size(), 2U);
  EXPECT_EQ(profile->limits, caps(0, 9));
  EXPECT_THAT(profile->lineage, ElementsAre("/0/c.json", "/0/p.json"));
}

TEST(ProfileInheritance, NullRemovesAVariable) {
  const std::string child = R"({"name":"c","description":"child","inherits":"p","env":{"PATH":null}})";
  const Result<Profile> profile = load_profile("c", source_of({{"p", {kWhole}}, {"c", {child}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_TRUE(profile->env.empty());
}

TEST(ProfileInheritance, AnOverrideInheritsWhatItOverrides) {
  const std::string override_text = R"({"name":"p","description":"ours","inherits":"p","limits":{"nofile":7}})";
  const Result<Profile> profile = load_profile("p", source_of({{"p", {kWhole, override_text}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->limits.nofile, 7U);
  EXPECT_EQ(profile->limits.pids_max, 5U);
  EXPECT_EQ(profile->file, "/1/p.json");
}

TEST(ProfileInheritance, RefusesACircle) {
  const std::string a = R"({"name":"a","description":"d","inherits":"b"})";
  const std::string b = R"({"name":"b","description":"d","inherits":"a"})";
  const Result<Profile> profile = load_profile("a", source_of({{"a", {a}}, {"b", {b}}}));
  ASSERT_FALSE(profile.ok());
  EXPECT_THAT(profile.error().message(), HasSubstr("inherits itself"));
}

TEST(ProfileInheritance, ADescriptionIsNotInherited) {
  const std::string child = R"({"name":"c","inherits":"p"})";
  const Result<Profile> profile = load_profile("c", source_of({{"p", {kWhole}}, {"c", {child}}}));
  ASSERT_FALSE(profile.ok());
  EXPECT_THAT(profile.error().message(), HasSubstr("key 'description' is missing"));
}

TEST(ProfileInheritance, TheChildsTmpfsMustFitTheInheritedLimits) {
  const std::string child =
      R"({"name":"c","description":"d","inherits":"p","tmpfs":[{"path":"/x","size":"4M","inodes":1}]})";
  const Result<Profile> profile = load_profile("c", source_of({{"p", {kWhole}}, {"c", {child}}}));
  ASSERT_FALSE(profile.ok());
  EXPECT_THAT(profile.error().message(), HasSubstr("'/0/c.json'"));
}

TEST(ProfileFormat, SortsMountsByPath) {
  const std::string text =
      changed(R"([{"path":"/tmp","size":"1M","inodes":10}])",
              R"([{"path":"/tmp/x","size":"1M","inodes":1},{"path":"/tmp","size":"1M","inodes":1}])");
  const Result<Profile> profile = load_profile("p", source_of({{"p", {text}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->tmpfs[0].path, "/tmp");
}

std::string fault_of_more(const std::string& more) {
  const Result<Profile> profile = load_profile("p", source_of({{"p", {with_more(more)}}}));
  return profile.ok() ? "" : profile.error().message();
}

TEST(ProfileFiles, AreNamedBelowSandboxdsOwnFolder) {
  const Result<Profile> profile =
      load_profile("p", source_of({{"p", {with_more(R"("files":{"ruby/lint.rb":"ruby-lint.rb"})")}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->files.at("ruby/lint.rb"), "ruby-lint.rb");
  for (const std::string name : {"/etc/x", "../x", "a/../b", "a//b", "", ".x", "a b", "a/"})
    EXPECT_THAT(fault_of_more("\"files\":{\"" + name + "\":\"x\"}"), HasSubstr("is no name below /etc/sandboxd"))
        << name;
  for (const std::string from : {"/x", "../x", "a/b", ""})
    EXPECT_THAT(fault_of_more(R"("files":{"x":")" + from + "\"}"), HasSubstr("a file in the folder 'files'")) << from;
}

TEST(ProfileFiles, NeedARootThatShowsThem) {
  const std::string text = with_more(R"("files":{"x":"x"})");
  std::string wide = text;
  wide.replace(wide.find(R"("roots":["usr"])"), 15, R"("roots":["usr","host"])");
  const Result<Profile> profile = load_profile("p", source_of({{"p", {wide}}}));
  ASSERT_FALSE(profile.ok());
  EXPECT_THAT(profile.error().message(), HasSubstr("has 'files', which only the root 'usr' shows"));
}

TEST(ProfileReasons, SayWhatALineIsWorth) {
  const Result<Profile> profile = load_profile(
      "p", source_of({{"p", {with_more(R"("reasons":{"filter":{"boundary":"f"},"env.PATH":{"lint":"e"}})")}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->reasons.at("filter"), (Reason{true, "f"}));
  EXPECT_EQ(profile->reasons.at("env.PATH"), (Reason{false, "e"}));
  EXPECT_THAT(fault_of_more(R"("reasons":{"filter":{}})"), HasSubstr("must say one of 'boundary'"));
  EXPECT_THAT(fault_of_more(R"("reasons":{"filter":{"lint":"a","boundary":"b"}})"), HasSubstr("must say one of"));
  EXPECT_THAT(fault_of_more(R"("reasons":{"filter":{"lint":" "}})"), HasSubstr("not empty"));
}

TEST(ProfileReasons, AreForWhatTheProfileSays) {
  EXPECT_THAT(fault_of_more(R"("reasons":{"env.PAHT":{"lint":"x"}})"),
              HasSubstr("'env.PAHT', which the profile doesn't say"));
  EXPECT_THAT(fault_of_more(R"("reasons":{"filte":{"boundary":"x"}})"), HasSubstr("which the profile doesn't say"));
}

TEST(ProfileReasons, GoWithWhatAHeirTakesAway) {
  const std::string parent = with_more(R"("reasons":{"env.PATH":{"lint":"x"},"filter":{"boundary":"y"}})");
  const std::string heir = R"({"name":"h","description":"d","inherits":"p","env":{"PATH":null}})";
  const Result<Profile> profile = load_profile("h", source_of({{"p", {parent}}, {"h", {heir}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_FALSE(profile->reasons.contains("env.PATH"));
  EXPECT_TRUE(profile->reasons.contains("filter"));
}

std::string heir_with(const std::string& more) {
  return R"({"name":"h","description":"d","inherits":"p")" + more + "}";
}

ProfileUsers users_of_heir(const std::string& parent, const std::string& heir) {
  const Result<Profile> profile = load_profile("h", source_of({{"p", {with_more(parent)}}, {"h", {heir_with(heir)}}}));
  EXPECT_TRUE(profile.ok()) << profile.error().message();
  return profile->who;
}

TEST(ProfileUsersKeys, AreInheritedOrSaidAnewAsAWhole) {
  const std::string parent = R"("users":["alice",1001],"groups":["devs"])";
  const auto inherited = users_of_heir(parent, "");
  EXPECT_THAT(inherited.users.value(), ElementsAre("alice", "1001"));
  EXPECT_THAT(inherited.groups.value(), ElementsAre("devs"));
  const auto own = users_of_heir(parent, R"(,"groups":["ops"])");
  EXPECT_FALSE(own.users.has_value()) << "the parent's users may not use what is for ops";
  EXPECT_THAT(own.groups.value(), ElementsAre("ops"));
  EXPECT_TRUE(users_of_heir(parent, R"(,"users":[])").users.value().empty());
  EXPECT_EQ(users_of_heir(parent, R"(,"users":null)"), ProfileUsers{});
}

TEST(ProfileUsersKeys, RefuseWhatIsNoAccount) {
  EXPECT_THAT(fault_of_more(R"("users":["1001"])"), HasSubstr("a user's name, or its id as a number"));
  EXPECT_THAT(fault_of_more(R"("groups":["a b"])"), HasSubstr("a group's name"));
  EXPECT_THAT(fault_of_more(R"("users":[4294967295])"), HasSubstr("from 0 to 4294967294"));
  EXPECT_THAT(fault_of_more(R"("users":["a","a"])"), HasSubstr("listed twice"));
  EXPECT_THAT(fault_of_more(R"("users":"alice")"), HasSubstr("expected an array"));
}

TEST(ProfileLandlock, TellsAnEmptyListFromNone) {
  const Result<Profile> profile = load_profile(
      "p", source_of({{"p", {with_more(R"("landlock":{"tcp_connect":[],"execute":["/usr"],"optional":["tcp"]})")}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  ASSERT_TRUE(profile->landlock.tcp_connect.has_value());
  EXPECT_TRUE(profile->landlock.tcp_connect->empty());
  EXPECT_FALSE(profile->landlock.tcp_bind.has_value());
  EXPECT_THAT(*profile->landlock.execute, ElementsAre("/usr"));
  EXPECT_THAT(profile->landlock.optional, ElementsAre("tcp"));
}

TEST(ProfileRedaction, ReplacesWhatIsInherited) {
  const std::string parent = with_more(R"("redaction":{"names":["*TOKEN*","api-key"]})");
  const auto names_of = [&](const std::string& more) {
    const std::string heir = R"({"name":"h","description":"d","inherits":"p")" + more + "}";
    const Result<Profile> profile = load_profile("h", source_of({{"p", {parent}}, {"h", {heir}}}));
    EXPECT_TRUE(profile.ok()) << profile.error().message();
    return profile->hidden_names;
  };
  EXPECT_THAT(names_of(""), ElementsAre("*TOKEN*", "api-key"));
  EXPECT_THAT(names_of(R"(,"redaction":{"names":["KEY"]})"), ElementsAre("KEY"));
  EXPECT_TRUE(names_of(R"(,"redaction":{"names":[]})").empty());
  EXPECT_TRUE(load_profile("p", source_of({{"p", {kWhole}}}))->hidden_names.empty());
}

TEST(ProfileRedaction, RefusesWhatIsNoPatternOfNames) {
  for (const char* name : {"A B", "A=B", "a?", "[a-z]", "$"}) {
    EXPECT_THAT(fault_of_more(R"("redaction":{"names":[")" + std::string(name) + R"("]})"),
                HasSubstr("a pattern of names"))
        << name;
  }
  EXPECT_THAT(fault_of_more(R"("redaction":{"names":[")" + std::string(65, 'A') + R"("]})"),
              HasSubstr("a pattern of names"));
  EXPECT_THAT(fault_of_more(R"("redaction":{})"), HasSubstr("'names' is missing"));
  EXPECT_THAT(fault_of_more(R"("redaction":{"names":[],"values":[]})"), HasSubstr("unknown key 'values'"));
  EXPECT_THAT(fault_of_more(R"("redaction":["A"])"), HasSubstr("expected an object"));
  std::string many = R"("A0")";
  for (int i = 1; i < 65; ++i) many += ",\"A" + std::to_string(i) + "\"";
  EXPECT_THAT(fault_of_more(R"("redaction":{"names":[)" + many + "]}"), HasSubstr("more than 64 patterns"));
}

TEST(ProfileTerminals, AreWithinTheCap) {
  EXPECT_EQ(load_profile("p", source_of({{"p", {kWhole}}}))->terminals, 16U);
  EXPECT_EQ(load_profile("p", source_of({{"p", {with_more(R"("terminals":0)")}}}))->terminals, 0U);
  EXPECT_THAT(fault_of_more(R"("terminals":257)"), HasSubstr("from 0 to 256"));
}

TEST(ProfileLandlock, IsInheritedListByList) {
  const std::string parent = R"("landlock":{"read":["/usr"],"write":["@scratch"],"truncate":[],"scopes":["signal"]})";
  const std::string heir =
      R"({"name":"h","description":"d","inherits":"p","landlock":{"write":["@workspace"],"ioctl":["/dev/pts"]}})";
  const Result<Profile> profile = load_profile("h", source_of({{"p", {with_more(parent)}}, {"h", {heir}}}));
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  const ProfileLandlock& landlock = profile->landlock;
  EXPECT_THAT(landlock.read.value(), ElementsAre("/usr"));
  EXPECT_THAT(landlock.write.value(), ElementsAre("@workspace"));
  EXPECT_TRUE(landlock.truncate.value().empty());
  EXPECT_THAT(landlock.ioctl.value(), ElementsAre("/dev/pts"));
  EXPECT_THAT(landlock.scopes, ElementsAre("signal"));
  EXPECT_FALSE(landlock.execute.has_value());
}

TEST(ProfileLandlock, RefusesWhatNoKernelTakes) {
  EXPECT_THAT(fault_of_more(R"("landlock":{"tcp_bind":[65536]})"), HasSubstr("from 0 to 65535"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"execute":[]})"), HasSubstr("no command could run"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"execute":["usr"]})"), HasSubstr("an absolute path in the jail"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"optional":["execute"]})"),
              HasSubstr("one of truncate, tcp, ioctl, scopes"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"write":["@home"]})"), HasSubstr("one of @workspace, @binds, @scratch"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"read":[]})"), HasSubstr("no library could be loaded"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"read":["/usr","/"]})"), HasSubstr("leave 'read' out"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"ioctl":["/tmp"]})"), HasSubstr("a device of the jail"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"ioctl":["@scratch"]})"), HasSubstr("a device of the jail"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"scopes":["unix"]})"), HasSubstr("one of abstract_unix, signal"));
  EXPECT_THAT(fault_of_more(R"("landlock":{"udp":[]})"), HasSubstr("unknown key 'udp'"));
}

}  // namespace
}  // namespace sandboxd::filters
