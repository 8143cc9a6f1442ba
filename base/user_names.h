// Names of users and groups, from the texts of /etc/passwd and /etc/group alone (passwd(5), group(5)): no name service is
// asked, since that would load code and open sockets in our programs. Who is not in the file has no name here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace sandboxd {

[[nodiscard]] std::map<uid_t, std::string> parse_passwd(std::string_view text);
// Of either file: the id of the first line with that name.
[[nodiscard]] std::optional<std::uint32_t> id_of_name(std::string_view text, std::string_view name);

}  // namespace sandboxd
