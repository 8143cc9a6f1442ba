#include "daemon/api/listing.h"

#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "protocol/interfaces.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kReplyBytes = 256U << 10;

struct Progress {
  Listing listing{};
  std::size_t next = 0;

  Json some() {
    Json part = Json::array();
    for (std::size_t size = 0; next < listing.count && size < kReplyBytes; ++next) {
      part.push_back(listing.item(next));
      size += protocol::to_text(part.back()).size();
    }
    return {{listing.member, std::move(part)}, {"complete", next == listing.count}};
  }
  void send(Call& call) {
    while (call.open() && !call.pressed()) {
      const Json reply = some();
      if (next == listing.count || !call.more()) return call.reply(reply);
      call.reply_more(reply);
    }
  }
};

}  // namespace

void reply_listing(const CallPtr& call, Listing listing) {
  call->charge(listing.calls * static_cast<double>(listing.count));
  const auto progress = std::make_shared<Progress>(Progress{std::move(listing)});
  call->on_pressure([call = call.get(), progress](bool pressed) {
    if (!pressed) progress->send(*call);
  });
  progress->send(*call);
}

}  // namespace sandboxd::api
