// What the daemon's typed errors mean to a person: one line of text, and what to do about it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "sandboxd-client/connection.h"

namespace sandboxd::client {

// "denied by rule 'network': at most none; see 'sandboxctl profile show'". What came from the daemon is escaped for
// terminals. An error that is not known is given by its name and fields.
[[nodiscard]] std::string failure_text(const Message& message);

// A Result's error with the hint that belongs to its errno ("is sandboxd running?" ...); escaped likewise.
[[nodiscard]] std::string failure_text(const sandboxd::Error& error);

}  // namespace sandboxd::client
