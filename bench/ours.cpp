#include "bench/ours.h"

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <span>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/broker_message.h"
#include "base/clock.h"
#include "base/socket.h"
#include "base/text.h"
#include "sandboxd-client/connection.h"
#include "sandboxd-client/failure.h"

namespace sandboxd::bench {
namespace {

using client::Json;

constexpr const char* kName = "bench";  // of the jails that sandboxctl starts, so that they can be asked for
constexpr std::uint64_t kAnswerUsec = 10'000'000;
constexpr std::array kNamespaces = {"user", "pid", "mnt", "ipc", "uts", "cgroup", "net"};
constexpr std::array kCapabilitySets = {"cap_inh", "cap_prm", "cap_eff", "cap_bnd", "cap_amb"};

std::string own_namespace(const char* name) {
  struct stat info {};
  return ::stat(fmt::format("/proc/self/ns/{}", name).c_str(), &info) == 0 ? std::to_string(info.st_ino) : "";
}

// What Inspect says was in force; what is missing, or empty when all is there.
std::string missing_in(const Json& jail, const std::string& workspace) {
  std::map<std::string, std::string> facts;
  for (const Json& fact : jail.value("in_force", Json::array()))
    facts[fact.value("name", std::string())] = fact.value("value", std::string());
  if (facts["seccomp"] != "2" || facts["seccomp_filters"] == "0") return "a system call filter";
  if (facts["landlock_probe"] != "refused") return "Landlock";
  if (facts["no_new_privs"] != "1") return "no_new_privs";
  for (const char* set : kCapabilitySets) {
    if (facts[set].empty() || facts[set].find_first_not_of('0') != std::string::npos)
      return "an empty " + std::string(set);
  }
  for (const char* name : kNamespaces) {
    const std::string& inode = facts[std::string("ns.") + name];
    if (inode.empty() || inode == own_namespace(name)) return fmt::format("a {} namespace of its own", name);
  }
  return workspace.empty() || facts.contains("mount:" + workspace) ? "" : "its workspace";
}

class Rows : public Ours {
 public:
  Rows(UniqueFd socket, client::Connection inspector, std::string workspace, std::string ctl)
      : socket_(std::move(socket)),
        inspector_(std::move(inspector)),
        workspace_(std::move(workspace)),
        ctl_(std::move(ctl)) {}

  std::vector<Row> rows() override;

 private:
  Row ctl_row(std::string name, bool with_workspace);
  Row run_row(std::string name, bool with_workspace);
  bool run(bool with_workspace);
  bool exchange(const std::string& call);
  std::string hand_in(UniqueFd& broker);
  bool check_last(bool with_workspace);
  bool check(const std::string& jail, const std::string& workspace);
  std::optional<Json> ask(const char* method, const std::string& jail);

  UniqueFd socket_;
  client::Connection inspector_;
  std::string workspace_, ctl_;
  std::string reply_{};
};

// The workspace goes to the broker first, without waiting for it. What the call says of it; empty when it failed.
std::string Rows::hand_in(UniqueFd& broker) {
  BrokerMessage message;
  if (::getrandom(message.token.data(), message.token.size(), 0) != static_cast<ssize_t>(message.token.size()))
    return {};
  message.fds = 1;
  const UniqueFd directory(::open(workspace_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto connected = connect_unix(inspector_.paths().broker, SOCK_SEQPACKET);
  if (!directory || !connected.ok()) return {};
  broker = std::move(connected).value();
  const int fd = directory.get();
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(&message), sizeof message);
  if (!send_packet(broker.get(), bytes, std::span(&fd, 1)).ok()) return {};
  return fmt::format(R"(,"token":"{}","workspace":{{"fd":0,"target":"{}","access":"rw"}})", hex(message.token),
                     workspace_);
}

bool Rows::run(bool with_workspace) {
  UniqueFd broker;
  const std::string more = with_workspace ? hand_in(broker) : "";
  if (with_workspace && more.empty()) return false;
  return exchange(fmt::format(
      R"({{"method":"org.sandboxd.Jail.Run","parameters":{{"spec":{{"argv":["/bin/true"],"stdio":"null"{}}}}}}})",
      more));
}

bool Rows::exchange(const std::string& call) {
  if (::send(socket_.get(), call.c_str(), call.size() + 1, MSG_NOSIGNAL) != static_cast<ssize_t>(call.size() + 1))
    return false;
  reply_.clear();
  char buffer[65536];
  while (reply_.empty() || reply_.back() != '\0') {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    reply_.append(buffer, static_cast<std::size_t>(got));
  }
  reply_.pop_back();
  const bool ended = reply_.find(R"("exit_code":0)") != std::string::npos;
  if (!ended) fmt::print(stderr, "start: Run: {}\n", reply_);
  return ended;
}

std::optional<Json> Rows::ask(const char* method, const std::string& jail) {
  const auto answer = inspector_.call(method, {{"jail", jail}}, monotonic_usec() + kAnswerUsec);
  if (answer.ok() && answer->error.empty()) return answer->parameters;
  fmt::print(stderr, "start: {}: {}\n", method,
             answer.ok() ? client::failure_text(*answer) : client::failure_text(answer.error()));
  return std::nullopt;
}

bool Rows::check(const std::string& jail, const std::string& workspace) {
  const std::optional<Json> shown = ask("org.sandboxd.Jail.Inspect", jail);
  if (!shown) return false;
  const std::string missing = missing_in(shown->value("jail", Json::object()), workspace);
  if (!missing.empty()) fmt::print(stderr, "start: a jail was without {}\n", missing);
  return missing.empty() && ask("org.sandboxd.Jail.Remove", jail).has_value();
}

bool Rows::check_last(bool with_workspace) {
  const Json reply = Json::parse(reply_, nullptr, /*allow_exceptions=*/false);
  if (!reply.is_object()) return false;
  const Json report = reply.value("parameters", Json::object()).value("report", Json::object());
  return check(report.value("jail", std::string()), with_workspace ? workspace_ : "");
}

Row Rows::ctl_row(std::string name, bool with_workspace) {
  std::vector<std::string> argv = {ctl_, "--socket", inspector_.paths().calls, "run", "--name", kName};
  if (with_workspace) argv.insert(argv.end(), {"--workspace=rw", "--workspace-dir", workspace_});
  argv.insert(argv.end(), {"--", "/bin/true"});
  return {.name = std::move(name),
          .ours = true,
          .once = [argv = std::move(argv)] { return spawn_and_wait(argv); },
          .check = [this, with_workspace] { return check(kName, with_workspace ? workspace_ : ""); }};
}

Row Rows::run_row(std::string name, bool with_workspace) {
  return {.name = std::move(name),
          .ours = true,
          .once = [this, with_workspace] { return run(with_workspace); },
          .check = [this, with_workspace] { return check_last(with_workspace); }};
}

std::vector<Row> Rows::rows() {
  return {ctl_row("sandboxctl run", false), ctl_row("sandboxctl run, workspace", true),
          run_row("Run, one connection", false), run_row(kGoalRow, true)};
}

}  // namespace

Result<std::unique_ptr<Ours>> Ours::open(const std::string& socket, const std::string& workspace, std::string ctl) {
  TRY_ASSIGN(UniqueFd calls, connect_unix(socket, SOCK_STREAM));
  TRY_ASSIGN(client::Connection inspector, client::Connection::open({client::socket_paths(socket)}));
  return std::unique_ptr<Ours>(
      std::make_unique<Rows>(std::move(calls), std::move(inspector), workspace, std::move(ctl)));
}

}  // namespace sandboxd::bench
