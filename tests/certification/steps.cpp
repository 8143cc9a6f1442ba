#include "steps.h"

#include <array>
#include <numbers>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace sandboxd::certification {
namespace {

using api::CallPtr;
using protocol::Json;

constexpr std::size_t kMaxClients = 1000;
constexpr std::size_t kReplies = 10;
constexpr std::string_view kDescription =
#include "description.inc"
    ;

enum class Kind { kPlain, kMore, kOneway };

struct Step {
  std::string_view name;
  Kind kind;
  Json (*wants)();    // the parameters beside client_id
  Json (*answers)();  // unused for kMore and kOneway
};

Json mixture() { return {{"bool", false}, {"int", 2}, {"float", std::numbers::pi}, {"string", "a lot of string"}}; }
Json map() { return {{"foo", "Foo"}, {"bar", "Bar"}}; }
Json set() { return {{"one", Json::object()}, {"two", Json::object()}, {"three", Json::object()}}; }

Json my_type() {
  return {
      {"object", {{"method", "org.varlink.certification.Test09"}, {"parameters", {{"map", map()}}}}},
      {"enum", "two"},
      {"struct", {{"first", 1}, {"second", "2"}}},
      {"array", Json::array({"one", "two", "three"})},
      {"dictionary", map()},
      {"stringset", set()},
      {"interface",
       {{"foo",
         Json::array({nullptr, Json{{"foo", "foo"}, {"bar", "bar"}}, nullptr, Json{{"one", "foo"}, {"two", "bar"}}})},
        {"anon", {{"foo", true}, {"bar", false}}}}},
  };
}

std::string reply_number(std::size_t i) { return fmt::format("Reply number {}", i); }

Json all_replies() {
  Json list = Json::array();
  for (std::size_t i = 1; i <= kReplies; ++i) list.push_back(reply_number(i));
  return list;
}

const std::array kSteps = {
    Step{"Test01", Kind::kPlain, [] { return Json::object(); },
         [] {
           return Json{{"bool", true}};
         }},
    Step{"Test02", Kind::kPlain,
         [] {
           return Json{{"bool", true}};
         },
         [] {
           return Json{{"int", 1}};
         }},
    Step{"Test03", Kind::kPlain,
         [] {
           return Json{{"int", 1}};
         },
         [] {
           return Json{{"float", 1.0}};
         }},
    Step{"Test04", Kind::kPlain,
         [] {
           return Json{{"float", 1.0}};
         },
         [] {
           return Json{{"string", "ping"}};
         }},
    Step{"Test05", Kind::kPlain,
         [] {
           return Json{{"string", "ping"}};
         },
         mixture},
    Step{"Test06", Kind::kPlain, mixture,
         [] {
           return Json{{"struct", mixture()}};
         }},
    Step{"Test07", Kind::kPlain,
         [] {
           return Json{{"struct", mixture()}};
         },
         [] {
           return Json{{"map", map()}};
         }},
    Step{"Test08", Kind::kPlain,
         [] {
           return Json{{"map", map()}};
         },
         [] {
           return Json{{"set", set()}};
         }},
    Step{"Test09", Kind::kPlain,
         [] {
           return Json{{"set", set()}};
         },
         [] {
           return Json{{"mytype", my_type()}};
         }},
    Step{"Test10", Kind::kMore,
         [] {
           return Json{{"mytype", my_type()}};
         },
         nullptr},
    Step{"Test11", Kind::kOneway,
         [] {
           return Json{{"last_more_replies", all_replies()}};
         },
         nullptr},
    Step{"End", Kind::kPlain, [] { return Json::object(); },
         [] {
           return Json{{"all_ok", true}};
         }},
};

// A nullable field that is null may as well be absent.
void drop_nulls(Json& parameters) {
  const auto value = parameters.find("mytype");
  if (value == parameters.end() || !value->is_object()) return;
  for (const char* key : {"nullable", "nullable_array_struct"}) {
    if (value->contains(key) && (*value)[key].is_null()) value->erase(key);
  }
}

Kind kind_of(const CallPtr& call) {
  if (call->oneway()) return Kind::kOneway;
  return call->more() ? Kind::kMore : Kind::kPlain;
}

void answer(const CallPtr& call, const Step& step) {
  if (step.kind == Kind::kPlain) return call->reply(step.answers());
  if (step.kind == Kind::kOneway) return call->reply(Json::object());
  for (std::size_t i = 1; i < kReplies; ++i) call->reply_more({{"string", reply_number(i)}});
  call->reply({{"string", reply_number(kReplies)}});
}

}  // namespace

api::Interface Steps::interface() {
  api::Interface interface {
    "org.varlink.certification", kDescription, {}
  };
  interface.methods.push_back({"Start", [this](const CallPtr& call) { start(call); }});
  for (std::size_t i = 0; i < kSteps.size(); ++i) {
    interface.methods.push_back({kSteps[i].name, [this, i](const CallPtr& call) { take(call, i); }});
  }
  return interface;
}

void Steps::start(const CallPtr& call) {
  if (next_.size() == kMaxClients) next_.clear();
  const std::string id = fmt::format("client-{}", ++last_);
  next_[id] = 0;
  call->reply({{"client_id", id}});
}

void Steps::take(const CallPtr& call, std::size_t step) {
  Json got = call->parameters();
  const Json id = got.value("client_id", Json());
  const auto due = id.is_string() ? next_.find(id.get<std::string>()) : next_.end();
  if (due == next_.end()) return call->fail("org.varlink.certification.ClientIdError", Json::object());
  const Step& row = kSteps.at(due->second);
  Json wants = row.wants();
  wants["client_id"] = id;
  drop_nulls(got);
  if (due->second != step || kind_of(call) != row.kind || got != wants) {
    next_.erase(due);
    wants["method"] = row.name;
    got["method"] = kSteps.at(step).name;
    return call->fail("org.varlink.certification.CertificationError", {{"wants", wants}, {"got", got}});
  }
  if (++due->second == kSteps.size()) next_.erase(due);
  answer(call, row);
}

}  // namespace sandboxd::certification
