// The client's own terminal in raw mode while a job has it (termios(3)). It gets its old mode back when the object goes, and
// when this process dies without that, by SIGKILL say: a small process of its own waits for that end.
#pragma once

#include <termios.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/job.h"

namespace sandboxd::ctl {

// 24 by 80 where the terminal does not know, or there is none.
[[nodiscard]] protocol::WindowSize window_size(int terminal);

class RawTerminal {
 public:
  // `terminal` is borrowed. Nothing is changed after a failure.
  static Result<RawTerminal> enter(int terminal);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal();

  void leave() noexcept;        // the old mode; for a stop
  void enter_again() noexcept;  // after it

 private:
  RawTerminal(int terminal, const termios& saved) : terminal_(terminal), saved_(saved) {}
  Status start_guard();

  int terminal_ = -1;
  termios saved_{};
  UniquePid guard_{};
  UniqueFd alive_{};  // the guard sees its end
};

}  // namespace sandboxd::ctl
