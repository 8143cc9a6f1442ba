// Processes that try to outlive whoever started them: forked twice, in sessions of their own, deaf to every signal, without a
// parent death signal. usage: probe_stay leave|wait COUNT
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

[[noreturn]] void stay() {
  ::setsid();
  if (::fork() != 0) ::_exit(0);
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, 0);
  ::prctl(PR_SET_NAME, "kworker/0:1");
  for (int signal = 1; signal < 65; ++signal) ::signal(signal, SIG_IGN);
  const uid_t own = ::getuid();
  if (::setresuid(own, own, own) < 0) ::_exit(1);
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  for (;;) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  for (int i = std::atoi(argv[2]); i > 0; --i) {
    const pid_t child = ::fork();
    if (child == 0) stay();
    if (child < 0) return 1;
    ::waitpid(child, nullptr, 0);
  }
  std::printf("ready\n");
  std::fflush(stdout);
  if (std::string_view(argv[1]) == "leave") return 0;
  for (;;) ::pause();
}
