// The outer object of a varlink call: {"method", "parameters", "more", "oneway", "upgrade"}, and of a reply.
#pragma once

#include <string>
#include <string_view>

#include "protocol/json.h"

namespace sandboxd::protocol {

struct CallHead {
  std::string method{};
  bool more = false;
  bool oneway = false;  // no reply; wins over `more`
  bool operator==(const CallHead&) const = default;
};

// `parameters` is an object, empty when the call has none. `head` is filled in as far as it could be read even when something
// is wrong, so that a bad oneway call gets no answer either.
[[nodiscard]] Checked parse_call(std::string_view frame, CallHead& head, Json& parameters);

// Frames without their NUL.
[[nodiscard]] std::string call_text(const CallHead& head, const Json& parameters);
[[nodiscard]] std::string reply_text(const Json& parameters, bool continues);
[[nodiscard]] std::string error_text(std::string_view name, const Json& parameters);

}  // namespace sandboxd::protocol
