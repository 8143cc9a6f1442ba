#include "sandboxd-client/failure.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include <fmt/core.h>

#include "base/text.h"
#include "protocol/errors.h"
#include "protocol/frame.h"

namespace sandboxd::client {
namespace {

std::string text_of(const Json& fields, const char* key) {
  const auto found = fields.find(key);
  if (found == fields.end() || found->is_null()) return {};
  return escaped(found->is_string() ? found->get<std::string>() : protocol::to_text(*found));
}

int number_of(const Json& fields, const char* key) {
  const auto found = fields.find(key);
  return found != fields.end() && found->is_number_integer() ? found->get<int>() : 0;
}

// "text: " + more, or whichever of the two there is.
std::string joined(std::string text, const std::string& more) { return more.empty() ? text : text + ": " + more; }

std::string denied(const Json& fields) {
  std::string text = fmt::format("denied by rule '{}'", text_of(fields, "rule"));
  if (const std::string allowed = text_of(fields, "allowed"); !allowed.empty()) text += ": allowed is " + allowed;
  return text + "; see 'sandboxctl explain' and 'sandboxctl profile show'";
}

std::string setup_failed(const Json& fields) {
  const int code = number_of(fields, "errno");
  const std::string detail = text_of(fields, "detail");
  // The detail is often a whole message already; the errno and its hint are added when it is not.
  const bool named = code == 0 || detail.find(errno_name(code)) != std::string::npos;
  const std::string step = text_of(fields, "step");
  const std::string text =
      joined(fmt::format("failed at '{}'", step), named ? detail : sandboxd::Error{code, detail}.message());
  const bool absent = code == ENOENT && (step == "exec" || step == "workdir");
  return absent ? text + "; of your files a jail has what --workspace, --bind and --ro-bind show" : text;
}

// The option of sandboxctl that fills a place of the call.
struct Place {
  std::string_view path;
  std::string_view option;
  std::string_view advice;
};
constexpr std::array kPlaces = {
    Place{"/parameters/spec/binds", "--workspace, --bind, --ro-bind",
          "another place in the jail is given by --at, or by SRC:DST"},
    Place{"/parameters/spec/dirs", "--dir", ""},
    Place{"/parameters/spec/env", "--env", ""},
    Place{"/parameters/spec/hostname", "--hostname", ""},
    Place{"/parameters/spec/name", "--name", ""},
    Place{"/parameters/spec/stdin_data", "--stdio", ""},
    Place{"/parameters/spec/stdio", "--stdio", ""},
    Place{"/parameters/spec/tmpfs", "--tmpfs", ""},
    Place{"/parameters/spec/wall_time", "--timeout", ""},
    Place{"/parameters/spec/workdir", "--workdir", ""},
};

std::string invalid_argument(const Json& fields) {
  const std::string path = text_of(fields, "path");
  // A place in a list has its index behind.
  const auto place = std::ranges::find_if(
      kPlaces, [&](const Place& row) { return path == row.path || path.starts_with(fmt::format("{}/", row.path)); });
  std::string text = fmt::format("invalid argument at '{}'", path);
  if (place != kPlaces.end()) text += fmt::format(" ({})", place->option);
  if (const std::string value = text_of(fields, "value"); !value.empty()) text += fmt::format(": {}", value);
  text += fmt::format("; expected {}", text_of(fields, "expected"));
  return place != kPlaces.end() && !place->advice.empty() ? fmt::format("{}; {}", text, place->advice) : text;
}

std::string not_found(const Json& fields) {
  const std::string what = text_of(fields, "what");
  const std::string_view list = what == "profile" ? "profile list" : what == "job" ? "jobs" : "ps";
  return fmt::format("no {} '{}'; see 'sandboxctl {}'", what, text_of(fields, "name"), list);
}

std::string limit_reached(const Json& fields) {
  return fmt::format(
      "limit '{}' of this {} is reached (at most {}); wait for some to end, or ask the administrator for more",
      text_of(fields, "limit"), text_of(fields, "scope"), text_of(fields, "most"));
}

std::string unavailable(const Json& fields) {
  return joined(fmt::format("{} is not available", text_of(fields, "what")), text_of(fields, "detail")) +
         "; nothing was started, see 'sandboxctl doctor'";
}

// Bytes where they are no text: {"b64": ...}.
std::string path_of(const Json& fields) {
  const auto found = fields.find("path");
  std::string bytes;
  if (found == fields.end() || protocol::bytes_from_json(*found, "", protocol::kMaxFrame, bytes)) return "''";
  return sandboxd::quoted(bytes);
}

std::string file_failed(const Json& fields) {
  const std::string what = fmt::format("{} {} in the jail", text_of(fields, "operation"), path_of(fields));
  const int code = number_of(fields, "errno");
  const std::string detail = text_of(fields, "detail");
  return code == 0 ? joined(what, detail) : sandboxd::Error{code, joined(what, detail)}.message();
}

std::string file_refused(const Json& fields) {
  return joined(fmt::format("{} is refused by the limit '{}'", path_of(fields), text_of(fields, "limit")),
                text_of(fields, "detail"));
}

std::string no_method(const Json&) { return "the daemon does not know this call: it is older than this client"; }

struct Row {
  std::string_view name;
  std::string (*text)(const Json&);
};

constexpr std::array kRows = {
    Row{protocol::kDenied, denied},
    Row{protocol::kSetupFailed, setup_failed},
    Row{protocol::kInvalidArgument, invalid_argument},
    Row{protocol::kNotFound, not_found},
    Row{protocol::kLimitReached, limit_reached},
    Row{protocol::kUnavailable, unavailable},
    Row{protocol::kFilesFailed, file_failed},
    Row{protocol::kFilesRefused, file_refused},
    Row{protocol::kMethodNotFound, no_method},
    Row{protocol::kMethodNotImplemented, no_method},
    Row{protocol::kInterfaceNotFound, no_method},
};

std::string_view connect_hint(const sandboxd::Error& error) {
  if (error.context.find("connect to") == std::string::npos) return {};
  if (error.code == ENOENT || error.code == ECONNREFUSED) {
    return "is sandboxd running? start it, or name its socket with --socket or SANDBOXD_SOCKET";
  }
  return error.code == EACCES ? "this user may not use that socket" : std::string_view();
}

}  // namespace

std::string failure_text(const Message& message) {
  for (const Row& row : kRows) {
    if (row.name == message.error) return row.text(message.parameters);
  }
  return escaped(message.error + " " + protocol::to_text(message.parameters));
}

std::string failure_text(const sandboxd::Error& error) {
  const std::string text = escaped(error.message());
  const std::string_view hint = connect_hint(error);
  return hint.empty() ? text : fmt::format("{}; {}", text, hint);
}

}  // namespace sandboxd::client
