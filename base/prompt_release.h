// While a PromptRelease lives, what this process lets go of may not hold it up. A descriptor that somebody else sent, and that
// nobody took, is released by whoever receives the message or closes the socket that it lay in; that of a TCP socket with
// SO_LINGER waits for as long as its sender said, for ever if need be (socket(7)). Any signal ends that wait, so SIGALRM comes
// after a millisecond or two, again and again, to a handler that does nothing. One at a time, in a program of one thread that
// has no other use for SIGALRM; what is called meanwhile may say EINTR.
#pragma once

#include <vector>

#include "base/unique_fd.h"

namespace sandboxd {

class PromptRelease {
 public:
  PromptRelease() noexcept;
  ~PromptRelease();
  PromptRelease(const PromptRelease&) = delete;
  PromptRelease& operator=(const PromptRelease&) = delete;
};

void release_promptly(UniqueFd fd) noexcept;
void release_promptly(std::vector<UniqueFd> fds) noexcept;

// Connections that are made from now on to this listening Unix socket carry no descriptors: who sends one gets EPERM. Older
// kernels than Linux 6.16 can't (SO_PASSRIGHTS), and there a PromptRelease is all there is, as for connections made before.
void refuse_descriptors(int listener) noexcept;

}  // namespace sandboxd
