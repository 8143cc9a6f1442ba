// The names of the errors that our varlink methods reply with. Their fields are in protocol/org.sandboxd.varlink.
#pragma once

#include <string_view>

namespace sandboxd::protocol {

inline constexpr std::string_view kDenied = "org.sandboxd.Denied";
inline constexpr std::string_view kSetupFailed = "org.sandboxd.SetupFailed";
inline constexpr std::string_view kInvalidArgument = "org.sandboxd.InvalidArgument";
inline constexpr std::string_view kNotFound = "org.sandboxd.NotFound";
inline constexpr std::string_view kLimitReached = "org.sandboxd.LimitReached";
inline constexpr std::string_view kUnavailable = "org.sandboxd.Unavailable";

// Those of org.sandboxd.Files alone.
inline constexpr std::string_view kFilesFailed = "org.sandboxd.Files.Failed";
inline constexpr std::string_view kFilesRefused = "org.sandboxd.Files.Refused";

// Those of every varlink service.
inline constexpr std::string_view kInterfaceNotFound = "org.varlink.service.InterfaceNotFound";
inline constexpr std::string_view kMethodNotFound = "org.varlink.service.MethodNotFound";
inline constexpr std::string_view kMethodNotImplemented = "org.varlink.service.MethodNotImplemented";
inline constexpr std::string_view kInvalidParameter = "org.varlink.service.InvalidParameter";

// Raised by a change that an old client would not understand.
inline constexpr int kProtocolVersion = 1;

}  // namespace sandboxd::protocol
