// sandboxd's end of a jail's control socket (daemon/wire/init_control.h). What comes from it is hostile: a packet of another
// size, an unknown event, a descriptor that is no FIFO or has the wrong direction, or more events than a jail has to say is a
// breach, told once, after which nothing more is read. Descriptors that are refused are closed at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/jails/watch.h"
#include "daemon/wire/init_control.h"

namespace sandboxd::jails {

class Control {
 public:
  struct Callbacks {
    std::function<void(std::vector<UniqueFd>)> streams{};  // stdin's write end, stdout's and stderr's read ends
    std::function<void(const wire::InitEventRecord&)> event{};
    std::function<void(const std::string&)> breach{};
  };

  Status start(sd_event* loop, UniqueFd socket, Callbacks callbacks);
  // Reads what is left; jail-init is gone.
  void drain();
  Status send(wire::InitCommand command, std::int32_t value);
  void close();

 private:
  void read_some();
  [[nodiscard]] bool read_one();  // false: nothing more for now
  bool breach(const std::string& why);

  UniqueFd socket_;
  IoWatch watch_;
  Callbacks callbacks_;
  std::uint32_t events_ = 0;
  bool had_streams_ = false;
};

}  // namespace sandboxd::jails
