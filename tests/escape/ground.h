// What an escape check stands on: a daemon, the host's things that a probe is after, and the two ways to run it. In a command
//   {probes}     the probes: /probes in a jail
//   {workspace}  a fresh directory of alice's, at the same path in the jail
//   {marker}     a file that only the host has
//   {dir} {socket} {broker}  the test's own directory, the daemon's sockets
//   {NAME}       what the row's preparation named so
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "tests/support/probes.h"
#include "tests/support/stack.h"

namespace sandboxd::test {

struct Check;

class Ground {
 public:
  explicit Ground(const Stack& stack) : stack_(stack) {}
  ~Ground() { clear(); }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  [[nodiscard]] const Stack& stack() const { return stack_; }
  [[nodiscard]] const std::string& workspace() const { return workspace_; }
  // A file below the workspace; its path.
  std::string write(const std::string& name, const std::string& text, uid_t owner = kAlice, mode_t mode = 0644);
  std::string program(const std::string& name, const std::string& to, uid_t owner, mode_t mode);
  void name(const std::string& place, const std::string& value) { places_[place] = value; }
  void keep(UniqueFd fd) { kept_.push_back(std::move(fd)); }
  // Done before the next preparation, and at the end.
  void afterwards(std::function<void()> what) { afterwards_.push_back(std::move(what)); }
  // A socket that listens there (on an abstract name after '@').
  void listen(const std::string& address, int type);

  // Each with a fresh workspace, prepared.
  Output inside(const Check& check, const std::string& profile, bool as_root = false);
  Output outside(const Check& check);
  // With the names of places for what stood in their stead.
  [[nodiscard]] Tries tries(Output output) const;

 private:
  void renew(const Check& check);
  void clear();
  [[nodiscard]] std::vector<std::string> words(const std::vector<std::string_view>& texts,
                                               const std::string& probes) const;

  const Stack& stack_;
  std::string workspace_{};
  int workspaces_ = 0;
  std::map<std::string, std::string> places_{};
  std::vector<UniqueFd> kept_{};
  std::vector<std::function<void()>> afterwards_{};
};

// A profile that comes with sandboxd, and who may call for it, and with which of the networks.
struct ShippedProfile {
  std::string name{};
  std::string network{};  // empty: its default
  bool writes = true;     // its workspaces may be writable
  bool learns = false;    // by admin.sock only
};
const std::vector<ShippedProfile>& shipped_profiles();

// The configuration that lets alice use every profile, some of which are for nobody but the administrator as they come.
std::string everybodys_profiles(const WorkDir& dir);
// Those that learn are the administrator's whatever a file says: alice asks this daemon by its admin.sock, and hands in her files as
// herself.
void let_alice_ask_as_admin(const Stack& stack);

}  // namespace sandboxd::test
