// The texts of protocol/*.varlink, put into the program when it is built.
#pragma once

#include <string_view>

namespace sandboxd::protocol {

extern const std::string_view kSandboxdInterface;       // org.sandboxd
extern const std::string_view kSandboxdJailInterface;   // org.sandboxd.Jail
extern const std::string_view kSandboxdHostInterface;   // org.sandboxd.Host
extern const std::string_view kSandboxdFilesInterface;  // org.sandboxd.Files

}  // namespace sandboxd::protocol
