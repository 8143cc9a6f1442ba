// Ids of jails and requests: a prefix and characters of RFC 4648's base32 in lower case, from getrandom(2). Unique by their
// 60 bits; nothing relies on their being secret.
#pragma once

#include <string>
#include <string_view>

namespace sandboxd::jails {

[[nodiscard]] std::string random_id(std::string_view prefix);

}  // namespace sandboxd::jails
