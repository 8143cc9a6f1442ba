// A session to measure in: created when it is opened, removed when it goes. One connection for calls; the frames are written by
// hand, so that no more is measured than a client has to do.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::bench {

class Live {
 public:
  static Result<std::unique_ptr<Live>> open(const std::string& socket);
  ~Live();
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  [[nodiscard]] const std::string& jail() const { return jail_; }
  // The text of the call's spec follows the jail: {"argv": ...}. False when it could not be sent.
  bool send_exec(const std::string& spec, bool more);
  // The next frame, and what descriptors came up to it; nothing when the connection ended.
  std::optional<std::string> receive(std::vector<UniqueFd>* fds = nullptr);
  // One exec, one reply: true when the job ended with status 0.
  bool exec(const std::string& spec);

 private:
  explicit Live(UniqueFd socket) : socket_(std::move(socket)) {}
  bool send(const std::string& call);

  UniqueFd socket_;
  std::string jail_, pending_;
};

}  // namespace sandboxd::bench
