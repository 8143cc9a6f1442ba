// E41: what a jail says in words of its own choice (commands, paths, names of files, output that is kept) is shown by sandboxctl
// on a terminal, and written to the audit log, without a byte that a terminal would obey. A terminal of the jail's own, and
// what is asked for raw, comes as it is: that is the control.
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "tests/escape/escape.h"
#include "tests/jail/terminal_client.h"

namespace sandboxd::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Clear the screen; OSC 52, which sets the clipboard; CSI as one 8-bit byte, which is no UTF-8; CSI as U+009B; a bidi override;
// DEL; and the end of a line that a title would swallow.
const std::string kHostile =
    "\x1b[2J\x1b]52;c;aGk=\x07\x9b"
    "31m\xc2\x9b"
    "31m\xe2\x80\xae"
    "evil\x7f\r\x1b]0;";
// The same as far as JSON can say it as text.
const std::string kHostileUtf8 =
    "\x1b[2J\x1b]52;c;aGk=\x07\xc2\x9b"
    "31m\xe2\x80\xae"
    "evil\x7f\r\x1b]0;";

// The length of the UTF-8 sequence at the front; 0 for none.
std::size_t sequence_at(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : byte(0) >= 0xC2 ? 2 : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  return length;
}

// What a terminal would obey, or show in another order than it is; empty: nothing. Lines and tabs are layout.
std::string obeyed_in(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_at(text.substr(i));
    const std::string_view one = text.substr(i, length == 0 ? 1 : length);
    const auto first = static_cast<unsigned char>(one[0]);
    const bool layout = one == "\n" || one == "\t" || (one == "\r" && text.substr(i + 1).starts_with("\n"));
    const bool control = (first < 0x20 && !layout) || first == 0x7F || (one >= "\xc2\x80" && one <= "\xc2\x9f");
    const bool bidi =
        (one >= "\xe2\x80\xaa" && one <= "\xe2\x80\xae") || (one >= "\xe2\x81\xa6" && one <= "\xe2\x81\xa9");
    if (length == 0 || control || bidi) return fmt::format("byte {:#x} at {}", first, i);
    i += one.size();
  }
  return "";
}

class EscapeTerminal : public Escape {
 protected:
  void SetUp() override {
    Escape::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const Output made = ctl({"create", "--tmpfs", "/work"});
    ASSERT_EQ(made.status, 0) << describe(made);
    jail_ = made.out.substr(0, made.out.find('\n'));
  }
  void TearDown() override {
    if (!jail_.empty()) {
      EXPECT_EQ(ctl({"rm", "-f", jail_}).status, 0);
    }
    Escape::TearDown();
  }
  static Output ctl(std::vector<std::string> arguments) { return stack().ctl(kAlice, std::move(arguments)); }
  // All that it shows on a terminal, in no colour of its own.
  static std::string shown(std::vector<std::string> arguments) {
    CommandSpec spec = stack().ctl_spec(kAlice, std::move(arguments));
    spec.env["NO_COLOR"] = "1";
    TerminalClient client(spec, {});
    return client.rest();
  }
  // It shows `expected`, and nothing that is obeyed.
  static void expect_harmless(const std::vector<std::string>& arguments, const std::string& expected) {
    const std::string text = shown(arguments);
    EXPECT_EQ(obeyed_in(text), "") << fmt::format("{}", fmt::join(arguments, " ")) << "\n" << text;
    EXPECT_THAT(text, HasSubstr(expected)) << fmt::format("{}", fmt::join(arguments, " "));
  }
  std::vector<std::string> in_jail(std::vector<std::string> options, std::vector<std::string> command) const {
    options.insert(options.begin(), "exec");
    options.insert(options.end(), {jail_, "--"});
    options.insert(options.end(), command.begin(), command.end());
    return options;
  }
  static std::string audit_log() {
    std::string all;
    for (const auto& entry : fs::recursive_directory_iterator(stack().state_dir() + "/audit")) {
      if (!entry.is_regular_file() || entry.path().extension() == ".lock") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(file), {});
    }
    std::erase(all, '\0');  // room that is taken beforehand
    return all;
  }

  std::string jail_{};
};

TEST_F(EscapeTerminal, E41_TheCheckSeesWhatATerminalObeys) {
  EXPECT_EQ(obeyed_in("plain \xc3\xa4\ttext\r\n"), "");
  for (const char* text : {"\x1b[2J",
                           "\x9b"
                           "31m",
                           "\xc2\x9b"
                           "31m",
                           "\xe2\x80\xae", "\x7f", "a\rb", "\x07"})
    EXPECT_NE(obeyed_in(text), "") << text;
}

TEST_F(EscapeTerminal, E41_E42_CommandsInListsEventsAndReports) {
  for (const std::string& text : {kHostile, kHostileUtf8}) {
    const Output job = ctl(in_jail({"-d"}, {"/bin/sh", "-c", "exec sleep 1000", text}));
    ASSERT_EQ(job.status, 0) << describe(job);
    const Output run = ctl({"run", "-d", "--", "/bin/sh", "-c", "exec sleep 1000", text});
    ASSERT_EQ(run.status, 0) << describe(run);
    const std::string jail = run.out.substr(0, run.out.find('\n'));
    expect_harmless({"jobs", jail_}, "\\x1b[2J");
    expect_harmless({"ps"}, "\\x1b[2J");
    expect_harmless({"inspect", jail}, "\\x1b[2J");
    expect_harmless({"--json", "ps"}, jail);
    expect_harmless({"--json", "jobs", jail_}, jail_);
    EXPECT_EQ(ctl({"rm", "-f", jail}).status, 0);
  }
  expect_harmless({"events"}, "job_started");
  expect_harmless({"--json", "events"}, "job_started");
}

TEST_F(EscapeTerminal, E41_E42_ErrorsThatNameWhatTheJailOrTheCallerChose) {
  for (const std::string& text : {kHostile, kHostileUtf8}) {
    expect_harmless(in_jail({}, {"/nonexistent/" + text}), "failed at 'exec'");
    expect_harmless(in_jail({"--workdir", "/nonexistent/" + text}, {"true"}), "workdir");
    expect_harmless({"files", "cat", jail_ + ":/work/" + text}, "\\x1b[2J");
    expect_harmless({"files", "stat", jail_ + ":/work/" + text}, "\\x1b[2J");
    expect_harmless({"cp", jail_ + ":/work/" + text, "/tmp"}, "\\x1b[2J");
    expect_harmless({"inspect", text}, "\\x1b[2J");
    expect_harmless({"create", "--label", "name=" + text}, "label");
    expect_harmless({"create", "--name", text}, "name");
  }
  expect_harmless({"events"}, "job_failed");
  expect_harmless({"jobs", jail_}, "\\x1b[2J");
}

TEST_F(EscapeTerminal, E41_NamesAndContentOfFiles) {
  const std::string path = "/work/" + kHostile;
  ASSERT_EQ(ctl(in_jail({}, {"/bin/sh", "-c",
                             "mkdir /work/d && cp -r /work/d \"$1\" && printf '%s' \"$1\" > /work/note && "
                             "ln -s \"$1\" /work/link",
                             "sh", path}))
                .status,
            0);
  expect_harmless({"files", "ls", jail_ + ":/work"}, "\\x1b[2J");
  expect_harmless({"files", "stat", jail_ + ":/work/link"}, "link");
  expect_harmless({"files", "cat", jail_ + ":/work/note"}, "\\x1b[2J");
  expect_harmless({"files", "rm", jail_ + ":/work/" + kHostile + "/none"}, "\\x1b[2J");
}

TEST_F(EscapeTerminal, E41_KeptOutputAndTheRawControl) {
  const std::string print = "printf '%s' \"$1\"; printf '%s' \"$1\" >&2; exit 3";
  const Output job = ctl(in_jail({"-d", "--log"}, {"/bin/sh", "-c", print, "sh", kHostile}));
  ASSERT_EQ(job.status, 0) << describe(job);
  const std::string name = job.out.substr(0, job.out.find('\n'));
  EXPECT_EQ(ctl({"wait", name}).status, 3);
  expect_harmless({"logs", name}, "\\x1b[2J");
  expect_harmless({"logs", "-f", name}, "evil");
  expect_harmless({"--json", "logs", name}, "stdout");
  expect_harmless({"wait", name}, "exited 3");
  EXPECT_EQ(ctl({"logs", name}).out, kHostile) << "a pipe gets the bytes";
  EXPECT_THAT(shown({"logs", "--raw", name}), HasSubstr(kHostile));
}

TEST_F(EscapeTerminal, E41_ATerminalOfTheJailsOwnIsRaw) {
  const std::string print = "printf '%s' \"$1\"; read x";
  const Output job = ctl(in_jail({"-d", "-t"}, {"/bin/sh", "-c", print, "sh", kHostile}));
  ASSERT_EQ(job.status, 0) << describe(job);
  TerminalClient attached(stack().ctl_spec(kAlice, {"attach", job.out.substr(0, job.out.find('\n'))}), {});
  EXPECT_TRUE(attached.shows(kHostile));
  attached.type("\n");
  EXPECT_NE(attached.wait(), -1);
}

TEST_F(EscapeTerminal, E41_E42_TheAuditLog) {
  const Output job = ctl(in_jail({}, {"/bin/sh", "-c", "exit 3", kHostileUtf8, kHostile}));
  EXPECT_EQ(job.status, 3) << describe(job);
  EXPECT_NE(ctl(in_jail({}, {"/nonexistent/" + kHostile})).status, 0);
  EXPECT_NE(ctl({"run", "--workdir", "/" + kHostileUtf8, "--", "/nonexistent/" + kHostileUtf8}).status, 0);
  const std::string workspace = make_workspace() + "/" + kHostileUtf8;
  ASSERT_TRUE(fs::create_directory(workspace));
  ASSERT_EQ(::chown(workspace.c_str(), kAlice, kAlice), 0);
  EXPECT_EQ(ctl({"run", "--ro-bind", workspace + ":/" + kHostileUtf8, "--", "true"}).status, 0);
  EXPECT_TRUE(eventually([] { return audit_log().find("/nonexistent/") != std::string::npos; }));
  const std::string log = audit_log();
  EXPECT_THAT(log, HasSubstr("evil"));
  EXPECT_EQ(obeyed_in(log), "");
}

}  // namespace
}  // namespace sandboxd::test
