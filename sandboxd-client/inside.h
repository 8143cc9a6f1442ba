// What the public classes are made of: the daemon's sockets, one connection for short calls, and the way from Result and
// varlink messages to Expected. Not installed. Deadlines on the inside are CLOCK_MONOTONIC microseconds, 0 = for ever.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sandboxd/client.h>

#include "base/result.h"
#include "protocol/codec.h"
#include "sandboxd-client/broker.h"
#include "sandboxd-client/connection.h"

namespace sandboxd::client {

struct Client::Inside {
  Options options{};
  std::vector<SocketPaths> paths{};  // to try; one once a connection was made
  std::optional<Connection> calls{};

  // Of `options.timeout` from now.
  [[nodiscard]] std::uint64_t deadline() const;
  // A connection of its own, for what takes long.
  Expected<Connection> open();
  // One reply; an error of the daemon's is an Error. The connection is kept for the next call.
  Expected<Json> ask(std::string_view method, const Json& parameters);
  Expected<Json> ask(std::string_view method, const Json& parameters, std::uint64_t deadline_usec);
  // The same on a connection of its own that is never waited for: EAGAIN when the daemon does not keep up.
  Expected<Json> ask_now(std::string_view method, const Json& parameters);
};
using Shared = std::shared_ptr<Client::Inside>;

[[nodiscard]] std::uint64_t deadline_after(Milliseconds wait);
[[nodiscard]] Error error_of(const sandboxd::Error& error);
[[nodiscard]] Error error_of(const Message& refused);
[[nodiscard]] Error malformed(std::string_view what);

template <class T> Expected<T> expected(Result<T> result) {
  if (!result.ok()) return error_of(result.error());
  return std::move(result).value();
}

// A value that has a decode() of its own, from the answer's member `key`.
template <class T> Expected<T> member(const Json& answer, const char* key) {
  T value;
  const auto found = answer.find(key);
  const auto wrong =
      protocol::decode(found == answer.end() ? Json() : *found, std::string("/parameters/") + key, value);
  if (wrong) return malformed(wrong->message());
  return value;
}

// The number, boolean or text there; 0, false or nothing when it is not there or is something else.
[[nodiscard]] std::uint64_t number_at(const Json& object, const char* key);
[[nodiscard]] bool flag_at(const Json& object, const char* key);
[[nodiscard]] std::string text_at(const Json& object, const char* key);
[[nodiscard]] Expected<std::string> bytes_at(const Json& object, const char* key);
[[nodiscard]] Expected<Output> output_at(const Json& answer);
[[nodiscard]] bool has(const Json& object, const char* key);

struct Sent {
  Connection connection;
  HandedIn handed_in{};
};
// The request's descriptors go to the broker, the call to the daemon.
Expected<Sent> send_request(Client::Inside& inside, std::string_view method, Request request, bool more);
Expected<Sent> send_call(Client::Inside& inside, std::string_view method, const Json& parameters, bool more = true);

enum class Started : std::uint8_t { kRun, kExec, kAttached };
[[nodiscard]] Job make_job(Shared inside, Sent sent, Started how);
// Waits for the first update.
Expected<Job> until_started(Expected<Job> job);
[[nodiscard]] Files make_files(Shared inside, std::string jail);
[[nodiscard]] Events make_events(Connection connection, Cursor cursor);

}  // namespace sandboxd::client
