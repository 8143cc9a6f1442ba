#include "sandboxd-client/inside.h"

#include <array>
#include <cerrno>
#include <limits>

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "protocol/errors.h"
#include "sandboxd-client/failure.h"

namespace sandboxd::client {
namespace {

struct KindRow {
  std::string_view name;
  ErrorKind kind;
};
constexpr std::array kKinds = {
    KindRow{protocol::kDenied, ErrorKind::kDenied},
    KindRow{protocol::kSetupFailed, ErrorKind::kSetupFailed},
    KindRow{protocol::kInvalidArgument, ErrorKind::kInvalidArgument},
    KindRow{protocol::kNotFound, ErrorKind::kNotFound},
    KindRow{protocol::kLimitReached, ErrorKind::kLimitReached},
    KindRow{protocol::kUnavailable, ErrorKind::kUnavailable},
    KindRow{protocol::kMethodNotFound, ErrorKind::kUnsupported},
    KindRow{protocol::kMethodNotImplemented, ErrorKind::kUnsupported},
    KindRow{protocol::kInterfaceNotFound, ErrorKind::kUnsupported},
    KindRow{protocol::kFilesFailed, ErrorKind::kFileFailed},
    KindRow{protocol::kFilesRefused, ErrorKind::kFileRefused},
};

ErrorKind kind_of(const sandboxd::Error& error) {
  const bool connecting = error.context.find("connect to") != std::string::npos;
  if (connecting && (error.code == ENOENT || error.code == ECONNREFUSED || error.code == EACCES)) {
    return ErrorKind::kUnreachable;
  }
  switch (error.code) {
    case 0: return ErrorKind::kInvalid;
    case EPIPE:
    case ECONNRESET: return ErrorKind::kDisconnected;
    case ETIMEDOUT: return ErrorKind::kTimedOut;
    case EBADMSG:
    case EMSGSIZE: return ErrorKind::kMalformed;
    default: return ErrorKind::kSystem;
  }
}

std::string field_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string bytes;
  if (value.is_object() && !protocol::bytes_from_json(value, "", protocol::kMaxFrame, bytes)) return bytes;
  return protocol::to_text(value);
}

}  // namespace

void Fd::reset(int fd) noexcept {
  UniqueFd old(std::exchange(fd_, fd));  // keeps errno
}

std::uint64_t deadline_after(Milliseconds wait) {
  if (wait == kForever) return 0;
  const auto usec = static_cast<std::uint64_t>(std::max<std::int64_t>(wait.count(), 0)) * 1000;
  return monotonic_usec() + usec;
}

Error error_of(const sandboxd::Error& error) {
  return {.kind = kind_of(error), .text = failure_text(error), .code = error.code};
}

Error error_of(const Message& refused) {
  Error error{.text = failure_text(refused), .name = refused.error};
  for (const KindRow& row : kKinds) {
    if (row.name == refused.error) error.kind = row.kind;
  }
  for (auto field = refused.parameters.begin(); field != refused.parameters.end(); ++field) {
    error.fields.emplace_back(field.key(), field_text(field.value()));
  }
  error.json = protocol::to_text(refused.parameters);
  error.code = static_cast<int>(number_at(refused.parameters, "errno"));
  return error;
}

Error malformed(std::string_view what) {
  return {.kind = ErrorKind::kMalformed, .text = escaped("the daemon's answer: " + std::string(what)), .code = EBADMSG};
}

bool has(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && !found->is_null();
}

std::uint64_t number_at(const Json& object, const char* key) {
  if (!has(object, key) || !object[key].is_number_integer()) return 0;
  const auto number = object[key].get<std::int64_t>();
  return number < 0 ? 0 : static_cast<std::uint64_t>(number);
}

bool flag_at(const Json& object, const char* key) {
  return has(object, key) && object[key].is_boolean() && object[key].get<bool>();
}

std::string text_at(const Json& object, const char* key) {
  return has(object, key) && object[key].is_string() ? object[key].get<std::string>() : std::string();
}

Expected<std::string> bytes_at(const Json& object, const char* key) {
  std::string bytes;
  if (!has(object, key)) return malformed(std::string("no member '") + key + "'");
  const auto wrong =
      protocol::bytes_from_json(object[key], std::string("/parameters/") + key, protocol::kMaxFrame, bytes);
  if (wrong) return malformed(wrong->message());
  return bytes;
}

Expected<Output> output_at(const Json& answer) {
  const Json& output = answer["output"];
  if (!output.is_object() || !has(output, "stream")) return malformed("'output' is ill-formed");
  Expected<std::string> data = bytes_at(output, "data");
  if (!data) return std::move(data).error();
  return Output{.is_error = text_at(output, "stream") == "stderr", .data = std::move(data).value()};
}

std::uint64_t Client::Inside::deadline() const { return deadline_after(options.timeout); }

// Whoever connects and then starts something long needs one connection, not two.
Expected<Connection> Client::Inside::open() {
  if (calls) {
    Connection idle = std::move(*calls);
    calls.reset();
    pollfd polled{idle.fd(), POLLIN | POLLRDHUP, 0};
    // Nothing is outstanding on it: what can be read is its end.
    if (::poll(&polled, 1, 0) == 0) return idle;
  }
  Result<Connection> connection = Connection::open(paths);
  if (connection.ok()) paths = {connection->paths()};  // a daemon is not left for another on the way
  return expected(std::move(connection));
}

Expected<Json> Client::Inside::ask(std::string_view method, const Json& parameters) {
  return ask(method, parameters, deadline());
}

Expected<Json> Client::Inside::ask(std::string_view method, const Json& parameters, std::uint64_t deadline_usec) {
  const bool kept = calls.has_value();
  if (!kept) {
    Expected<Connection> connection = open();
    if (!connection) return std::move(connection).error();
    calls = std::move(connection).value();
  }
  if (const Status sent = calls->send(method, parameters); !sent.ok()) {
    calls.reset();
    // The daemon was started again since the last call; it has seen nothing of this one.
    if (kept && (sent.error().code == EPIPE || sent.error().code == ECONNRESET)) {
      return ask(method, parameters, deadline_usec);
    }
    return error_of(sent.error());
  }
  Result<Message> answer = calls->receive(deadline_usec);
  if (!answer.ok()) {
    calls.reset();  // a late answer must not be taken for the next call's
    return error_of(std::move(answer).context("call {}", sandboxd::quoted(method)).error());
  }
  if (!answer->error.empty()) return error_of(*answer);
  return std::move(answer->parameters);
}

Expected<Json> Client::Inside::ask_now(std::string_view method, const Json& parameters) {
  Result<Connection> connection = Connection::open(paths, /*wait=*/false);
  if (!connection.ok()) return error_of(connection.error());
  Result<Message> answer = connection->call(method, parameters, deadline());
  if (!answer.ok()) return error_of(answer.error());
  return answer->error.empty() ? Expected<Json>(std::move(answer->parameters)) : Expected<Json>(error_of(*answer));
}

Expected<Sent> send_call(Client::Inside& inside, std::string_view method, const Json& parameters, bool more) {
  Expected<Connection> connection = inside.open();
  if (!connection) return std::move(connection).error();
  Sent sent{.connection = std::move(connection).value()};
  if (const Status status = sent.connection.send(method, parameters, more); !status.ok()) {
    return error_of(status.error());
  }
  return sent;
}

Expected<Sent> send_request(Client::Inside& inside, std::string_view method, Request request, bool more) {
  Expected<Connection> connection = inside.open();
  if (!connection) return std::move(connection).error();
  Sent sent{.connection = std::move(connection).value()};
  // A profile that is named may be for some users only: that it is us is the broker's to say, whatever we hand over.
  if (!request.fds.empty() || request.spec.profile) {
    std::vector<int> fds;
    for (const Fd& fd : request.fds) fds.push_back(fd.get());
    const bool other = request.mount_namespace || (!fds.empty() && in_other_mount_namespace());
    Result<HandedIn> handed_in = hand_in(sent.connection.paths().broker, fds, other);
    if (!handed_in.ok()) return error_of(handed_in.error());
    sent.handed_in = std::move(handed_in).value();
    request.spec.token = sent.handed_in.token;
  }
  const Status status = sent.connection.send(method, {{"spec", protocol::encode(request.spec)}}, more);
  if (!status.ok()) return error_of(status.error());
  return sent;
}

}  // namespace sandboxd::client
