// Names of users, from /etc/passwd alone (passwd(5)): no name service is asked, since that would load code and open sockets
// in the daemon. A user that is not in the file has no name here.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace sandboxd::jails {

[[nodiscard]] std::map<uid_t, std::string> parse_passwd(std::string_view text);

}  // namespace sandboxd::jails
