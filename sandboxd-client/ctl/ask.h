// A call with one answer, for the verbs that are no more than that.
#pragma once

#include <string_view>

#include "sandboxd-client/connection.h"
#include "sandboxd-client/ctl/command.h"

namespace sandboxd::ctl {

// `use` gets the answer's parameters and returns the exit status; failures are told and give kOwnFailure.
template <class Use>
int ask(const Invocation& invocation, std::string_view method, const client::Json& parameters, Use use) {
  Result<client::Connection> connection = connect(invocation.globals);
  if (!connection.ok()) return fail(invocation, connection.error());
  const Result<client::Message> answer = connection->call(method, parameters);
  if (!answer.ok()) return fail(invocation, answer.error());
  if (!answer->error.empty()) return fail(invocation, *answer);
  return use(answer->parameters);
}

}  // namespace sandboxd::ctl
