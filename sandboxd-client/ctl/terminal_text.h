// Bytes of a job made fit for a terminal that must not obey them: all but new lines, tabs and the letters of UTF-8 is shown as
// \xNN. Bytes come in pieces, so a letter or a "\r\n" may be cut between two of them. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd::ctl {

class TerminalText {
 public:
  [[nodiscard]] std::string add(std::string_view bytes);
  // What was held back.
  [[nodiscard]] std::string end();

 private:
  std::string held_{};
};

}  // namespace sandboxd::ctl
