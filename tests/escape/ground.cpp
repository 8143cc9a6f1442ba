#include "tests/escape/ground.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "tests/escape/checks.h"

namespace sandboxd::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string profiles_dir() { return std::string(SANDBOXD_SOURCE_DIR) + "/seccomp-profiles/profiles"; }

json profile_file(const std::string& name) {
  std::ifstream file(fmt::format("{}/{}.json", profiles_dir(), name));
  return json::parse(file);
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

}  // namespace

std::string Ground::write(const std::string& name, const std::string& text, uid_t owner, mode_t mode) {
  return stack_.dir().write(fs::path(workspace_).filename().string() + "/" + name, text, owner, mode);
}

std::string Ground::program(const std::string& name, const std::string& to, uid_t owner, mode_t mode) {
  return stack_.dir().copy_program(name, fs::path(workspace_).filename().string() + "/" + to, owner, mode);
}

void Ground::listen(const std::string& address, int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  ASSERT_LT(address.size(), sizeof name.sun_path);
  address.copy(&name.sun_path[0], sizeof name.sun_path - 1);
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  if (address[0] == '@') {
    name.sun_path[0] = '\0';
  } else {
    ++size;
  }
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), size), 0) << address << ": " << std::strerror(errno);
  if (type != SOCK_DGRAM) {
    ASSERT_EQ(::listen(fd.get(), 64), 0);
  }
  if (address[0] != '@') ::chmod(address.c_str(), 0777);
  keep(std::move(fd));
}

void Ground::clear() {
  for (const auto& what : afterwards_) what();
  afterwards_.clear();
  kept_.clear();
}

void Ground::renew(const Check& check) {
  clear();
  workspace_ = stack_.dir().make(fmt::format("ground-{}-{}", check.name, workspaces_++), kAlice);
  places_ = {{"workspace", workspace_},
             {"marker", stack_.dir().write("only-on-the-host", "secret\n")},
             {"dir", stack_.dir().path()},
             {"socket", stack_.socket()},
             {"broker", stack_.runtime_dir() + "/broker.sock"}};
  if (check.prepare != nullptr) check.prepare(*this);
}

std::vector<std::string> Ground::words(const std::vector<std::string_view>& texts, const std::string& probes) const {
  std::vector<std::string> all;
  for (const std::string_view text : texts) {
    std::string& word = all.emplace_back(text);
    replace_all(word, "{probes}", probes);
    for (const auto& [name, value] : places_) replace_all(word, "{" + name + "}", value);
  }
  return all;
}

Output Ground::inside(const Check& check, const std::string& profile, bool as_root) {
  renew(check);
  const auto& known = shipped_profiles();
  const auto found = std::ranges::find(known, profile, &ShippedProfile::name);
  std::vector<std::string> options = {"--profile", profile};
  if (found != known.end() && !found->network.empty()) options.push_back("--network=" + found->network);
  if (found != known.end() && found->learns)
    options.insert(options.end(), {"--socket", stack_.dir().path() + "/as-admin/admin.sock"});
  if (as_root) options.emplace_back("--user=root");
  for (std::string& word : words(check.options, stack_.probes())) options.push_back(std::move(word));
  if (check.workspace != Workspace::kNone) {
    const bool writable = check.workspace == Workspace::kWritable && (found == known.end() || found->writes);
    const char* access = writable ? "rw" : "ro";
    options.insert(options.end(), {fmt::format("--workspace={}", access), "--workspace-dir", workspace_});
  }
  return stack_.probe(kAlice, options, words(check.command, "/probes"));
}

Output Ground::outside(const Check& check) {
  renew(check);
  CommandSpec spec;
  spec.argv = words(check.control.empty() ? check.command : check.control, stack_.probes());
  spec.argv.front() = stack_.probes() + "/" + spec.argv.front();
  spec.uid = check.outside;
  return run(std::move(spec));
}

Tries Ground::tries(Output output) const {
  // A longer value first: the workspace lies in the test's directory.
  std::vector<std::pair<std::string, std::string>> places(places_.begin(), places_.end());
  std::ranges::sort(places, std::greater{}, [](const auto& one) { return one.second.size(); });
  for (const auto& [name, value] : places) replace_all(output.out, value, "{" + name + "}");
  return parse_probe(output);
}

const std::vector<ShippedProfile>& shipped_profiles() {
  static const std::vector<ShippedProfile> all = [] {
    std::vector<ShippedProfile> found;
    for (const auto& entry : fs::directory_iterator(profiles_dir())) {
      const json file = profile_file(entry.path().stem());
      const auto networks = file.find("networks");
      const bool learns = file.value("learn", false);
      const bool host = !learns && networks != file.end() && std::ranges::find(*networks, "host") != networks->end();
      const auto spaces = file.find("workspace");
      const bool writes = spaces == file.end() || std::ranges::find(*spaces, "rw") != spaces->end();
      found.push_back({entry.path().stem(), host ? "host" : "", writes, learns});
    }
    std::ranges::sort(found, {}, &ShippedProfile::name);
    return found;
  }();
  return all;
}

std::string everybodys_profiles(const WorkDir& dir) {
  for (const ShippedProfile& profile : shipped_profiles()) {
    const json file = profile_file(profile.name);
    if (!file.contains("users") && !file.contains("groups")) continue;
    const json own = {
        {"name", profile.name}, {"description", "alice's"}, {"inherits", profile.name}, {"users", {kAlice}}};
    static_cast<void>(dir.write(profile.name + ".json", own.dump()));
  }
  return fmt::format(R"("profile_dirs": ["{}"])", dir.path());
}

void let_alice_ask_as_admin(const Stack& stack) {
  const std::string folder = stack.dir().make("as-admin", 0);
  const std::string real = stack.runtime_dir() + "/";
  EXPECT_EQ(::chmod((real + "admin.sock").c_str(), 0666), 0);
  EXPECT_EQ(::symlink((real + "admin.sock").c_str(), (folder + "/admin.sock").c_str()), 0);
  EXPECT_EQ(::symlink((real + "broker.sock").c_str(), (folder + "/broker-admin.sock").c_str()), 0);
}

}  // namespace sandboxd::test
