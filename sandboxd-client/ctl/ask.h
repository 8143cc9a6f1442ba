// A call with one answer, for the verbs that are no more than that.
#pragma once

#include <string>

#include <sandboxd/client.h>
#include <nlohmann/json.hpp>

#include "protocol/json.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {

// `use` gets the client and returns the exit status; a failure to connect is told and gives kOwnFailure.
template <class Use> int with_client(const Invocation& invocation, Use use) {
  client::Expected<client::Client> client = connect(invocation.globals);
  return client ? use(*client) : fail(invocation, client.error());
}

// `use` gets the answer's parameters.
template <class Use> int ask(const Invocation& invocation, const std::string& method, const Json& parameters, Use use) {
  return with_client(invocation, [&](client::Client& client) {
    const client::Expected<std::string> answer = client.call(method, protocol::to_text(parameters));
    if (!answer) return fail(invocation, answer.error());
    Json value;
    if (const auto wrong = protocol::parse_json(*answer, value)) return fail(invocation, wrong->message());
    return use(value);
  });
}

// A call whose answer says no more than that it was done.
template <class Call> int order(const Invocation& invocation, Call call) {
  return with_client(invocation, [&](client::Client& client) {
    const client::Expected<void> done = call(client);
    if (!done) return fail(invocation, done.error());
    return invocation.globals.json ? print_value(invocation, Json::object()) : 0;
  });
}

}  // namespace sandboxd::ctl
