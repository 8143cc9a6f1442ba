#include "sandboxd-client/ctl/run_options.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sandboxd-client/ctl/parse.h"

namespace sandboxd::ctl {
namespace {

using protocol::Access;
using protocol::Bind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char* const kNoEnvironment[] = {nullptr};

// A directory with d/, f and link -> d, removed afterwards; the tests run in it.
class RunRequest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(top_), nullptr);
    old_.reset(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::chdir(top_), 0);
    ASSERT_EQ(::mkdir("d", 0700), 0);
    ASSERT_EQ(::symlink("d", "link"), 0);
    const UniqueFd file(::open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(file.valid());
  }
  void TearDown() override {
    for (const char* name : {"link", "f", "fifo"}) ::unlink(name);
    ::rmdir("d");
    ASSERT_EQ(::fchdir(old_.get()), 0);
    ::rmdir(top_);
  }
  // As the command line gives them.
  Result<Request> make(const std::vector<std::string>& words, const std::vector<std::string>& command = {"true"}) {
    RunOptions wanted;
    const auto wrong = parse_options([&](Options& options) { add_run_options(options, wanted); }, words);
    return wrong ? Result<Request>(make_error("{}", *wrong)) : make_request(wanted, command, kNoEnvironment);
  }
  std::string failure(std::vector<std::string> words) {
    const Result<Request> made = make(std::move(words));
    return made.ok() ? "no failure" : made.error().message();
  }
  std::string in(const char* name) { return std::string(top_) + "/" + name; }

  char top_[32] = "/tmp/request-test-XXXXXX";
  UniqueFd old_;
};

TEST_F(RunRequest, DefaultsAskForNothing) {
  const Result<Request> made = make({});
  ASSERT_TRUE(made.ok());
  protocol::JobSpec expected;
  expected.argv = {"true"};
  expected.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}};
  expected.stdio = protocol::Stdio::kPass;
  EXPECT_EQ(made->spec, expected);
  EXPECT_TRUE(made->fds.empty());
}

TEST_F(RunRequest, PlainOptionsArriveInTheSpec) {
  const Result<Request> made =
      make({"--profile",    "p",      "--name", "n",         "--hostname", "h",         "--workdir",
            "/w",           "--user", "root",   "--network", "host",       "--timeout", "90s",
            "--stdio=null", "--dir",  "/a",     "--dir",     "/b",         "--root",    "host"});
  ASSERT_TRUE(made.ok());
  const protocol::JobSpec& spec = made->spec;
  EXPECT_EQ(spec.profile, "p");
  EXPECT_EQ(spec.name, "n");
  EXPECT_EQ(spec.hostname, "h");
  EXPECT_EQ(spec.workdir, "/w");
  EXPECT_TRUE(spec.user_root);
  EXPECT_EQ(spec.network, protocol::Network::kHost);
  EXPECT_EQ(spec.wall_time, 90'000'000U);
  EXPECT_EQ(spec.stdio, protocol::Stdio::kNull);
  EXPECT_THAT(spec.dirs, ElementsAre("/a", "/b"));
  EXPECT_EQ(spec.root, protocol::Root::kHost);
}

TEST_F(RunRequest, WorkspaceIsTheCurrentDirectoryAtItsOwnPath) {
  const Result<Request> made = make({"--workspace"});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->spec.workspace, (Bind{0, top_, Access::kRo}));
  ASSERT_EQ(made->fds.size(), 1U);
  const int flags = ::fcntl(made->fds[0].get(), F_GETFL);
  EXPECT_EQ(flags & (O_ACCMODE | O_PATH), O_RDONLY);
  EXPECT_NE(flags & O_DIRECTORY, 0);
}

TEST_F(RunRequest, WorkspaceMayBeWritableElsewhereAndMoved) {
  EXPECT_EQ(make({"--workspace=rw"})->spec.workspace->access, Access::kRw);
  EXPECT_EQ(make({"--workspace-dir", "link"})->spec.workspace, (Bind{0, in("d"), Access::kRo}));
  EXPECT_EQ(make({"--workspace=rw", "--workspace-dir", "d", "--at", "/work"})->spec.workspace,
            (Bind{0, "/work", Access::kRw}));
}

TEST_F(RunRequest, BindsAreResolvedAndNumberedInOrder) {
  const Result<Request> made = make({"--ro-bind", "f:/etc/f", "--bind", "link", "--workspace", "--root", "/usr"});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->spec.workspace->fd, 0U);
  EXPECT_THAT(made->spec.binds, ElementsAre(Bind{1, in("d"), Access::kRw}, Bind{2, "/etc/f", Access::kRo}));
  EXPECT_EQ(made->spec.root, protocol::Root::kDirectory);
  EXPECT_EQ(made->spec.root_fd, 3U);
  EXPECT_EQ(made->fds.size(), 4U);
}

TEST_F(RunRequest, OnlyFilesAndDirectoriesAreBound) {
  ASSERT_EQ(::mkfifo("fifo", 0600), 0);  // and this does not wait for a writer
  EXPECT_THAT(failure({"--bind", "fifo"}), HasSubstr("neither a regular file nor a directory"));
  EXPECT_THAT(failure({"--bind", "gone:/x"}), HasSubstr("--bind: 'gone': No such file"));
  EXPECT_THAT(failure({"--root", "f"}), HasSubstr("--root: open directory 'f'"));
}

TEST_F(RunRequest, TmpfsTakesASize) {
  EXPECT_THAT(make({"--tmpfs", "/a", "--tmpfs", "/b:64M"})->spec.tmpfs,
              ElementsAre(protocol::Tmpfs{"/a", {}}, protocol::Tmpfs{"/b", 64U << 20}));
  EXPECT_THAT(failure({"--tmpfs", "/b:lots"}), HasSubstr("the size must be"));
}

TEST_F(RunRequest, PathsInTheJailAreCanonical) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"--tmpfs", "a"},
                                                                 {"--dir", "/a/"},
                                                                 {"--workdir", "/a/../b"},
                                                                 {"--workspace", "--at", "//x"},
                                                                 {"--bind", "f:/a//b"}}) {
    EXPECT_THAT(failure(words), HasSubstr("must be absolute")) << words[0];
  }
}

TEST_F(RunRequest, MistakesAreNamed) {
  EXPECT_THAT(failure({"--at", "/x"}), HasSubstr("--at needs --workspace"));
  EXPECT_THAT(failure({"--workspace=rwx"}), HasSubstr("must be ro or rw"));
  EXPECT_THAT(failure({"--timeout", "0s"}), HasSubstr("more than 0"));
  EXPECT_THAT(failure({"--timeout", "soon"}), HasSubstr("--timeout 'soon'"));
  EXPECT_FALSE(make({}, {}).ok());
  EXPECT_FALSE(make({}, {""}).ok());
}

TEST_F(RunRequest, ChoicesAreChecked) {
  EXPECT_THAT(failure({"--network", "some"}), HasSubstr("--network"));
  EXPECT_THAT(failure({"--user", "0"}), HasSubstr("--user"));
  EXPECT_THAT(failure({"--stdio", "tty"}), HasSubstr("--stdio"));
}

TEST_F(RunRequest, InheritRefusesWhatIsNoPipeOrFile) {
  const UniqueFd saved(::fcntl(0, F_DUPFD_CLOEXEC, 3));
  const UniqueFd directory(::open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::dup2(directory.get(), 0), 0);
  const std::string refused = failure({"--stdio=inherit"});
  ASSERT_EQ(::dup2(saved.get(), 0), 0);
  EXPECT_THAT(refused, HasSubstr("standard input is not a pipe"));
}

TEST_F(RunRequest, InheritNumbersTheThreeAfterTheOthers) {
  const std::array<int, 3> saved = {::fcntl(0, F_DUPFD_CLOEXEC, 3), ::fcntl(1, F_DUPFD_CLOEXEC, 3),
                                    ::fcntl(2, F_DUPFD_CLOEXEC, 3)};
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
  const Result<Request> made = make({"--stdio=inherit", "--workspace"});
  for (int fd = 0; fd < 3; ++fd) {
    ::dup2(saved.at(static_cast<std::size_t>(fd)), fd);
    ::close(saved.at(static_cast<std::size_t>(fd)));
  }
  ASSERT_TRUE(made.ok());
  EXPECT_THAT(made->spec.stdio_fds, ElementsAre(1U, 2U, 3U));
  EXPECT_EQ(made->fds.size(), 4U);
}

TEST_F(RunRequest, LabelsAreNamesAndValues) {
  EXPECT_EQ(make({"--label", "a=b", "--label", "team=x=y", "--label", "e="})->spec.labels,
            (protocol::Labels{{"a", "b"}, {"team", "x=y"}, {"e", ""}}));
  EXPECT_THAT(failure({"--label", "a"}), HasSubstr("must be NAME=VALUE"));
  EXPECT_THAT(failure({"--label", "=b"}), HasSubstr("must be NAME=VALUE"));
}

TEST_F(RunRequest, AJobThatIsLeftAloneIsRelayed) {
  const Result<Request> made = make({"-d", "--log", "-t"});
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(made->spec.detach && made->spec.log && made->spec.tty.has_value());
  EXPECT_EQ(made->spec.stdio, protocol::Stdio::kRelay);
}

TEST_F(RunRequest, StreamsThatNobodyRelaysGoWithNothingThatNeedsIt) {
  for (const char* option : {"-t", "-d", "--merge-stderr"}) {
    EXPECT_THAT(failure({"--stdio=null", option}), HasSubstr("--stdio=null goes with none of")) << option;
  }
  EXPECT_TRUE(make({"--merge-stderr"})->spec.merge_stderr);
  EXPECT_THAT(failure({"--detach-keys", "ctrl"}), HasSubstr("--detach-keys 'ctrl'"));
}

TEST_F(RunRequest, DenialsAreExplainedWhereTheDaemonHasAStream) {
  EXPECT_TRUE(make({"--explain-denials"})->spec.explain_denials);
  EXPECT_FALSE(make({})->spec.explain_denials);
  EXPECT_THAT(failure({"--explain-denials", "--stdio=inherit"}), HasSubstr("--explain-denials"));
}

TEST(CreateRequest, HasNoCommandAndATime) {
  CreateOptions wanted;
  ASSERT_FALSE(parse_options([&](Options& options) { add_create_options(options, wanted); },
                             {"--ttl", "2h", "--timeout", "5min", "--label", "a=b", "-e", "A=1", "--tmpfs", "/t"}));
  const Result<Request> made = make_create_request(wanted, kNoEnvironment);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(made->spec.argv.empty());
  EXPECT_EQ(made->spec.session_ttl, 7'200'000'000U);
  EXPECT_EQ(made->spec.wall_time, 300'000'000U);
  EXPECT_THAT(made->spec.env, ElementsAre(testing::Pair("PATH", testing::_), testing::Pair("A", "1")));
}

Result<protocol::ExecSpec> exec_spec(std::vector<std::string> words, const char* const* own = kNoEnvironment) {
  ExecOptions wanted;
  const auto wrong = parse_options([&](Options& options) { add_exec_options(options, wanted); }, std::move(words));
  return wrong ? Result<protocol::ExecSpec>(make_error("{}", *wrong)) : make_exec_spec(wanted, {"x"}, own);
}

TEST(ExecRequest, AddsToTheJailsEnvironmentOnly) {
  const char* const own[] = {"TERM=xterm", "HOME=/h", nullptr};
  EXPECT_TRUE(exec_spec({}, own)->env.empty());
  EXPECT_THAT(exec_spec({"-e", "HOME"}, own)->env, ElementsAre(testing::Pair("HOME", "/h")));
  EXPECT_THAT(exec_spec({"-t"}, own)->env, ElementsAre(testing::Pair("TERM", "xterm")));
}

TEST(ExecRequest, HasLimitsOfItsOwn) {
  const Result<protocol::ExecSpec> spec =
      exec_spec({"--nofile", "64", "--file-size", "2M", "--timeout", "3s", "--keep-survivors", "-w", "/w"});
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->nofile, 64U);
  EXPECT_EQ(spec->file_size_max, 2U << 20);
  EXPECT_EQ(spec->wall_time, 3'000'000U);
  EXPECT_EQ(spec->survivors, protocol::Survivors::kKeep);
  EXPECT_EQ(spec->workdir, "/w");
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--nofile", "0"}, {"--nofile", "-1"}, {"--file-size", "x"}, {"--stdio", "inherit"}, {"--user", "root"}}) {
    EXPECT_FALSE(exec_spec(words).ok()) << words[0];
  }
}

}  // namespace
}  // namespace sandboxd::ctl
