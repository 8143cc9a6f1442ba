#include <cerrno>

#include "sandboxd-client/inside.h"

namespace sandboxd::client {

struct Events::Inside {
  Connection connection;
  Cursor cursor;
  bool over = false;
};

Events::Events(std::unique_ptr<Inside> inside) noexcept : inside_(std::move(inside)) {}
Events::Events(Events&&) noexcept = default;
Events& Events::operator=(Events&&) noexcept = default;
Events::~Events() = default;

const Cursor& Events::cursor() const noexcept { return inside_->cursor; }
int Events::fd() const noexcept { return inside_->connection.fd(); }

Events make_events(Connection connection, Cursor cursor) {
  return Events(std::make_unique<Events::Inside>(Events::Inside{std::move(connection), std::move(cursor)}));
}

namespace {

Event event_of(const Json& value) {
  Event event;
  event.cursor = number_at(value, "cursor");
  event.time = number_at(value, "time");
  event.epoch = text_at(value, "epoch");
  event.jail = text_at(value, "jail");
  event.kind = text_at(value, "kind");
  event.detail = has(value, "detail") ? protocol::to_text(value["detail"]) : "{}";
  event.uid = static_cast<std::uint32_t>(number_at(value, "uid"));
  return event;
}

}  // namespace

Expected<std::optional<EventUpdate>> Events::next(Milliseconds deadline) noexcept {
  if (inside_->over) return std::optional<EventUpdate>();
  Result<Message> message = inside_->connection.receive(deadline_after(deadline));
  if (!message.ok()) {
    inside_->over = message.error().code != ETIMEDOUT;
    return error_of(message.error());
  }
  inside_->over = !message->continues;
  if (!message->error.empty()) return error_of(*message);
  EventUpdate update;
  if (has(message->parameters, "gap")) update.gap = number_at(message->parameters, "gap");
  if (has(message->parameters, "event")) {
    update.event = event_of(message->parameters["event"]);
    inside_->cursor = {.after = update.event->cursor, .epoch = update.event->epoch};
  }
  if (!update.gap && !update.event) return std::optional<EventUpdate>();
  return std::optional<EventUpdate>(std::move(update));
}

}  // namespace sandboxd::client
