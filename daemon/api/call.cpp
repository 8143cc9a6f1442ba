#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "daemon/api/connection.h"
#include "protocol/envelope.h"
#include "protocol/errors.h"

namespace sandboxd::api {

Call::Call(Connection& connection, Peer peer, Json parameters, bool more, bool oneway)
    : connection_(&connection),
      peer_(std::move(peer)),
      parameters_(std::make_unique<Json>(std::move(parameters))),
      more_(more && !oneway),
      oneway_(oneway) {}

Call::~Call() = default;

bool Call::open() const noexcept { return connection_ != nullptr && !connection_->ended(); }

void Call::reply(const Json& parameters) {
  if (!open()) return;
  finish(oneway_ ? std::string() : protocol::reply_text(parameters, false));
}

void Call::reply_more(const Json& parameters, std::vector<UniqueFd> fds) {
  if (!open() || !more_) return;
  const std::string text = protocol::reply_text(parameters, true);
  if (text.size() > protocol::kMaxFrame) return finish(text);
  connection_->send(text, std::move(fds));
}

void Call::fail(std::string_view error, const Json& parameters) {
  if (!open()) return;
  finish(oneway_ ? std::string() : protocol::error_text(error, parameters));
}

void Call::fail(const protocol::Invalid& wrong) {
  fail(protocol::kInvalidArgument, {{"path", wrong.path}, {"value", wrong.value}, {"expected", wrong.expected}});
}

void Call::finish(std::string text) {
  Connection& connection = *connection_;
  if (text.size() > protocol::kMaxFrame) {
    connection.warn(fmt::format("a reply of {} bytes is not sent", text.size()));
    const std::string detail = fmt::format("more than {} bytes", protocol::kMaxFrame);
    text = protocol::error_text(protocol::kUnavailable, {{"what", "reply"}, {"detail", detail}});
  }
  if (!text.empty()) connection.send(text, {});
  connection_ = nullptr;
  connection.finished();
}

void Call::on_pressure(std::function<void(bool)> changed) {
  if (!open()) return;
  pressure_ = std::move(changed);
  if (connection_->pressed()) pressure_(true);
}

bool Call::pressed() const { return open() && connection_->pressed(); }

bool Call::hold(std::size_t bytes) {
  if (!open()) return false;
  if (!connection_->count(bytes)) {
    connection_->uncount(bytes);
    return false;
  }
  held_ += bytes;
  return true;
}

void Call::charge(double calls) {
  if (open()) connection_->charge(calls);
}

void Call::keep(std::shared_ptr<void> object) {
  if (open()) kept_.push_back(std::move(object));
}

void Call::clear() {
  connection_ = nullptr;
  held_ = 0;
  pressure_ = nullptr;
  kept_.clear();
}

}  // namespace sandboxd::api
