// A list that takes several replies where one has no room for it, each with what comes of it and 'complete', which is true of the
// last. It goes on when the client has read enough: an admin's list can be larger than what may wait for a client.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "daemon/api/varlink.h"

namespace sandboxd::api {

struct Listing {
  std::string member{};  // the reply's
  std::size_t count = 0;
  std::function<Json(std::size_t)> item{};  // encoded when it is sent
  double calls = 0;                         // what an item takes, in calls that take little
};

// Without 'more' the client gets the first reply alone.
void reply_listing(const CallPtr& call, Listing listing);

}  // namespace sandboxd::api
