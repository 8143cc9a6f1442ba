// The server's half of org.varlink.certification: what each call of a client has to be, and what it is answered.
#pragma once

#include <map>
#include <string>

#include "daemon/api/varlink.h"

namespace sandboxd::certification {

class Steps {
 public:
  [[nodiscard]] api::Interface interface();  // refers to this

 private:
  void start(const api::CallPtr& call);
  void take(const api::CallPtr& call, std::size_t step);

  std::map<std::string, std::size_t> next_{};  // client_id → the step that is due
  std::uint64_t last_ = 0;
};

}  // namespace sandboxd::certification
