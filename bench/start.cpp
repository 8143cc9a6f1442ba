// What a start costs: p50, p90 and p99 of each way to run one program, interleaved in one loop so that the machine's noise
// falls on all of them alike, and as ratios to bubblewrap with a workspace. Prints a table; exits 1 when a goal is missed.
//
//   start --socket PATH [--uid UID] [--rounds N] [--goal RATIO] [--workspace DIR]
//
// Run as root it takes the uid of an ordinary user first. Rows: posix_spawn of /bin/true, bwrap, firejail and runc where they
// are installed, `sandboxctl run` without and with a workspace, and the method Run over one connection.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <spawn.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/broker_message.h"
#include "base/clock.h"
#include "base/socket.h"
#include "base/text.h"

extern char** environ;

namespace sandboxd::bench {
namespace {

struct Options {
  std::string socket{};
  std::string workspace{};
  uid_t uid = 12345;
  int rounds = 300;
  double goal = 0;
};

struct Row {
  std::string name{};
  std::function<bool()> once{};
  std::vector<std::uint64_t> samples{};  // microseconds

  [[nodiscard]] std::uint64_t at(double part) const {
    std::vector<std::uint64_t> sorted = samples;
    std::ranges::sort(sorted);
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * part)];
  }
};

bool spawn_and_wait(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& text : argv) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) != 0) return false;
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool installed(const char* program) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/"}) {
    if (::access((std::string(folder) + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

std::string sibling(const char* program) {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return self.substr(0, self.rfind('/') + 1) + program;
}

// The method Run, as any varlink client would call it; the workspace goes to the broker first, without waiting for it.
class Connection {
 public:
  static std::optional<Connection> open(const Options& options) {
    auto socket = connect_unix(options.socket, SOCK_STREAM);
    if (!socket.ok()) {
      fmt::print(stderr, "start: {}\n", socket.error().message());
      return std::nullopt;
    }
    Connection connection;
    connection.socket_ = std::move(socket).value();
    connection.broker_ = options.socket.substr(0, options.socket.rfind('/')) + "/broker.sock";
    connection.workspace_ = options.workspace;
    return connection;
  }

  bool run(bool with_workspace) {
    std::string spec = R"("argv":["/bin/true"],"stdio":"null")";
    UniqueFd broker;
    if (with_workspace) {
      BrokerMessage message;
      if (::getrandom(message.token.data(), message.token.size(), 0) != static_cast<ssize_t>(message.token.size()))
        return false;
      message.fds = 1;
      const UniqueFd directory(::open(workspace_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      auto connected = connect_unix(broker_, SOCK_SEQPACKET);
      if (!directory || !connected.ok()) return false;
      broker = std::move(connected).value();
      const int fd = directory.get();
      if (!send_packet(broker.get(), {reinterpret_cast<const std::uint8_t*>(&message), sizeof message},
                       std::span(&fd, 1))
               .ok())
        return false;
      spec += fmt::format(R"(,"token":"{}","workspace":{{"fd":0,"target":"{}","access":"rw"}})", hex(message.token),
                          workspace_);
    }
    const std::string call =
        fmt::format(R"({{"method":"org.sandboxd.Jail.Run","parameters":{{"spec":{{{}}}}}}})", spec);
    return exchange(call);
  }

 private:
  bool exchange(const std::string& call) {
    if (::send(socket_.get(), call.c_str(), call.size() + 1, MSG_NOSIGNAL) != static_cast<ssize_t>(call.size() + 1))
      return false;
    std::string reply;
    char buffer[65536];
    while (reply.empty() || reply.back() != '\0') {
      const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return false;
      reply.append(buffer, static_cast<std::size_t>(got));
    }
    const bool ended = reply.find(R"("exit_code":0)") != std::string::npos;
    if (!ended) fmt::print(stderr, "start: Run: {}\n", reply.c_str());
    return ended;
  }

  UniqueFd socket_{};
  std::string broker_{}, workspace_{};
};

std::vector<Row> make_rows(const Options& options, Connection& connection) {
  const std::string ctl = sibling("sandboxctl");
  const std::string& ws = options.workspace;
  const auto add = [](std::vector<Row>& rows, std::string name, std::vector<std::string> argv) {
    rows.push_back({std::move(name), [argv = std::move(argv)] { return spawn_and_wait(argv); }});
  };
  std::vector<Row> rows;
  add(rows, "/bin/true", {"/bin/true"});
  add(rows, "bwrap, workspace",
      {"bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind",
       ws, ws, "/bin/true"});
  if (installed("firejail"))
    add(rows, "firejail", {"firejail", "--quiet", "--noprofile", "--net=none", "--private=" + ws, "/bin/true"});
  if (installed("nsjail")) add(rows, "nsjail", {"nsjail", "-Q", "-Mo", "--chroot", "/", "--", "/bin/true"});
  add(rows, "sandboxctl run", {ctl, "--socket", options.socket, "run", "--", "/bin/true"});
  add(rows, "sandboxctl run, workspace",
      {ctl, "--socket", options.socket, "run", "--workspace=rw", "--workspace-dir", ws, "--", "/bin/true"});
  rows.push_back({"Run, one connection", [&connection] { return connection.run(false); }});
  rows.push_back({"Run, one connection, workspace", [&connection] { return connection.run(true); }});
  return rows;
}

// A peer that can't run here is left out, and says so; one of ours that can't is a failure.
bool warm_up(std::vector<Row>& rows) {
  bool ours = true;
  std::erase_if(rows, [&](const Row& row) {
    if (row.once() && row.once()) return false;
    const bool own = row.name.starts_with("sandboxctl") || row.name.starts_with("Run") || row.name.starts_with("bwrap");
    fmt::print(stderr, "start: '{}' does not run here{}\n", row.name, own ? "" : ", left out");
    ours = ours && !own;
    return true;
  });
  return ours;
}

int report(const std::vector<Row>& rows, const Options& options) {
  const auto find = [&](const char* name) { return std::ranges::find(rows, name, &Row::name); };
  const auto bwrap = find("bwrap, workspace");
  const auto spawn = find("/bin/true");
  fmt::print("{:<32} {:>8} {:>8} {:>8} {:>10} {:>10}\n", "us, " + std::to_string(options.rounds) + " rounds", "p50",
             "p90", "p99", "x bwrap", "x spawn");
  for (const Row& row : rows) {
    fmt::print("{:<32} {:>8} {:>8} {:>8} {:>10.3f} {:>10.2f}\n", row.name, row.at(.5), row.at(.9), row.at(.99),
               static_cast<double>(row.at(.5)) / static_cast<double>(bwrap->at(.5)),
               static_cast<double>(row.at(.5)) / static_cast<double>(spawn->at(.5)));
  }
  if (options.goal <= 0) return 0;
  const double ratio =
      static_cast<double>(find("Run, one connection, workspace")->at(.5)) / static_cast<double>(bwrap->at(.5));
  fmt::print("goal: Run with a workspace at most {:.2f} of bwrap: {:.3f}, {}\n", options.goal, ratio,
             ratio <= options.goal ? "met" : "MISSED");
  return ratio <= options.goal ? 0 : 1;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    const char* value = argv[i + 1];
    if (key == "--socket")
      options.socket = value;
    else if (key == "--workspace")
      options.workspace = value;
    else if (key == "--uid")
      options.uid = static_cast<uid_t>(parse_uint(value, 4294967294U).value_or(0));
    else if (key == "--rounds")
      options.rounds = static_cast<int>(parse_uint(value, 1'000'000).value_or(0));
    else if (key == "--goal")
      options.goal = std::strtod(value, nullptr);
    else
      return std::nullopt;
  }
  const bool complete = argc % 2 == 1 && !options.socket.empty() && options.rounds > 0;
  return complete ? std::optional(options) : std::nullopt;
}

bool become(uid_t uid) {
  if (::geteuid() != 0) return true;
  return ::setgroups(0, nullptr) == 0 && ::setresgid(uid, uid, uid) == 0 && ::setresuid(uid, uid, uid) == 0;
}

}  // namespace
}  // namespace sandboxd::bench

int main(int argc, char** argv) {
  using namespace sandboxd::bench;
  auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "usage: start --socket PATH [--uid UID] [--rounds N] [--goal RATIO] [--workspace DIR]\n");
    return 2;
  }
  if (!become(options->uid)) {
    std::perror("start: take the user's uid");
    return 2;
  }
  char made[] = "/var/tmp/sandboxd-bench-XXXXXX";
  if (options->workspace.empty()) {
    if (::mkdtemp(made) == nullptr) {
      std::perror("start: make a workspace");
      return 2;
    }
    options->workspace = made;
  }
  auto connection = Connection::open(*options);
  if (!connection) return 2;
  std::vector<Row> rows = make_rows(*options, *connection);
  int status = 1;
  if (warm_up(rows)) {
    bool failed = false;
    for (int round = 0; round < options->rounds && !failed; ++round) {
      for (Row& row : rows) {
        const std::uint64_t from = sandboxd::monotonic_usec();
        failed = failed || !row.once();
        row.samples.push_back(sandboxd::monotonic_usec() - from);
      }
    }
    if (failed) fmt::print(stderr, "start: a run failed\n");
    status = failed ? 1 : report(rows, *options);
  }
  if (options->workspace == made) ::rmdir(made);
  return status;
}
