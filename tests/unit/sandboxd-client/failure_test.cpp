#include "sandboxd-client/failure.h"

#include <cerrno>

#include <gmock/gmock.h>

namespace sandboxd::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text(const char* error, Json fields) {
  return failure_text(Message{.parameters = std::move(fields), .error = error});
}

TEST(FailureText, NamesTheRuleAndWhatToDo) {
  EXPECT_EQ(text("org.sandboxd.Denied", {{"rule", "network"}, {"allowed", "none"}}),
            "denied by rule 'network': allowed is none; see 'sandboxctl explain' and 'sandboxctl profile show'");
}

TEST(FailureText, NamesTheStepThatFailed) {
  EXPECT_EQ(text("org.sandboxd.SetupFailed", {{"step", "workspace"}, {"errno", EINVAL}, {"detail", "id-map '/w'"}})
                .substr(0, 73),
            "failed at 'workspace': id-map '/w': Invalid argument (EINVAL); this kerne");
}

TEST(FailureText, DoesNotRepeatAnErrnoThatTheDetailNames) {
  EXPECT_EQ(text("org.sandboxd.SetupFailed", {{"step", "x"}, {"errno", ENOENT}, {"detail", "open: gone (ENOENT)"}}),
            "failed at 'x': open: gone (ENOENT)");
}

TEST(FailureText, NamesThePlaceOfAWrongArgument) {
  EXPECT_EQ(text("org.sandboxd.InvalidArgument",
                 {{"path", "/parameters/spec/name"}, {"value", "\"a b\""}, {"expected", "a name"}}),
            "invalid argument at '/parameters/spec/name' (--name): \"a b\"; expected a name");
  EXPECT_EQ(text("org.sandboxd.InvalidArgument", {{"path", "/parameters/jail"}, {"expected", "an id"}}),
            "invalid argument at '/parameters/jail'; expected an id");
}

TEST(FailureText, SaysWhatAJailHasOfTheCallersFiles) {
  EXPECT_THAT(text("org.sandboxd.SetupFailed", {{"step", "exec"}, {"errno", ENOENT}, {"detail", "./x"}}),
              HasSubstr("(ENOENT); of your files a jail has what --workspace"));
  EXPECT_THAT(text("org.sandboxd.SetupFailed", {{"step", "exec"}, {"errno", EACCES}, {"detail", "./x"}}),
              Not(HasSubstr("of your files")));
  EXPECT_THAT(text("org.sandboxd.InvalidArgument", {{"path", "/parameters/spec/binds/0"}, {"expected", "a path"}}),
              HasSubstr("expected a path; another place in the jail is given by --at"));
}

TEST(FailureText, NamesTheLimitAndItsNumber) {
  EXPECT_THAT(text("org.sandboxd.LimitReached", {{"limit", "jails"}, {"most", 8}, {"scope", "user"}}),
              AllOf(HasSubstr("limit 'jails' of this user"), HasSubstr("at most 8")));
}

TEST(FailureText, ShowsAnErrorThatItDoesNotKnow) {
  EXPECT_EQ(text("org.other.Strange", {{"a", 1}}), "org.other.Strange {\"a\":1}");
}

TEST(FailureText, SurvivesFieldsOfOtherTypesAndEscapesThem) {
  EXPECT_THAT(text("org.sandboxd.Denied", {{"rule", Json::array({"\x1b[2J"})}, {"allowed", nullptr}}),
              Not(HasSubstr("\x1b")));
  EXPECT_THAT(text("org.sandboxd.SetupFailed", {{"step", "\x1b"}, {"errno", "two"}}), Not(HasSubstr("\x1b")));
}

TEST(FailureText, AsksWhetherTheDaemonRuns) {
  EXPECT_THAT(failure_text(sys_error_code(ENOENT, "connect to '/x'")), HasSubstr("; is sandboxd running?"));
  EXPECT_THAT(failure_text(sys_error_code(ENOENT, "open '/x'")), Not(HasSubstr("sandboxd")));
}

}  // namespace
}  // namespace sandboxd::client
