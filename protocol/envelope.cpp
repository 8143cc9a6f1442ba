#include "protocol/envelope.h"

#include "protocol/reader.h"

namespace sandboxd::protocol {
namespace {

constexpr std::size_t kMaxMethod = 255;

}  // namespace

Checked parse_call(std::string_view frame, CallHead& head, Json& parameters) {
  head = {};
  Json call;
  if (Checked wrong = parse_json(frame, call)) return wrong;
  parameters = Json::object();
  bool upgrade = false;
  ObjectReader reader(call, "");
  reader.optional("oneway", boolean(head.oneway));
  reader.optional("more", boolean(head.more));
  reader.required("method", string(kMaxMethod, head.method));
  reader.optional("upgrade", boolean(upgrade));
  reader.optional("parameters", [&](const Json& value, const std::string& path) -> Checked {
    if (!value.is_object()) return invalid(path, value, "an object");
    parameters = value;
    return std::nullopt;
  });
  reader.rule(!upgrade, "upgrade", "false: no method here changes the protocol of its connection");
  return reader.finish();
}

std::string call_text(const CallHead& head, const Json& parameters) {
  Json call = {{"method", head.method}, {"parameters", parameters}};
  if (head.more) call["more"] = true;
  if (head.oneway) call["oneway"] = true;
  return to_text(call);
}

// Put together as text: a reply's parameters can be large, and would be copied into an outer value.
std::string reply_text(const Json& parameters, bool continues) {
  return (continues ? R"({"continues":true,"parameters":)" : R"({"parameters":)") + to_text(parameters) + "}";
}

std::string error_text(std::string_view name, const Json& parameters) {
  return R"({"error":)" + to_text(Json(name)) + R"(,"parameters":)" + to_text(parameters) + "}";
}

}  // namespace sandboxd::protocol
