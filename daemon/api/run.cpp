#include "daemon/api/run.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "daemon/api/failure.h"
#include "protocol/codec.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

struct Captured {
  std::string bytes{};
  bool cut = false;
};

struct Run {
  CallPtr call;
  Json started{};
  std::array<Captured, 2> streams{};  // stdout, stderr

  void on_started(const protocol::JailInfo& info, std::vector<UniqueFd> fds);
  void on_output(int stream, std::string_view bytes);
  void on_report(const protocol::JobReport& report);
  void capture(Captured& stream, std::string_view bytes);
};

void Run::on_started(const protocol::JailInfo& info, std::vector<UniqueFd> fds) {
  started = protocol::encode(info);
  if (call->more()) call->reply_more({{"started", started}}, std::move(fds));
}

void Run::on_output(int stream, std::string_view bytes) {
  if (stream != 1 && stream != 2) return;
  if (!call->more()) return capture(streams.at(static_cast<std::size_t>(stream - 1)), bytes);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kCaptured);
    call->reply_more(
        {{"output", {{"stream", stream == 1 ? "stdout" : "stderr"}, {"data", protocol::bytes_to_json(part)}}}});
    bytes.remove_prefix(part.size());
  }
}

void Run::capture(Captured& stream, std::string_view bytes) {
  if (stream.cut) return;
  const std::string_view part = bytes.substr(0, kCaptured - stream.bytes.size());
  const bool counted = call->hold(part.size());
  if (counted) stream.bytes.append(part);
  stream.cut = !counted || part.size() < bytes.size();
}

void Run::on_report(const protocol::JobReport& report) {
  Json reply = {{"report", protocol::encode(report)}};
  if (!call->more()) {
    reply["started"] = std::move(started);
    reply["stdout"] = protocol::bytes_to_json(streams[0].bytes);
    reply["stderr"] = protocol::bytes_to_json(streams[1].bytes);
    reply["stdout_cut"] = streams[0].cut;
    reply["stderr_cut"] = streams[1].cut;
  }
  call->reply(reply);
}

jails::RunObserver observer_of(const std::shared_ptr<Run>& state) {
  return {
      .started = [state](const protocol::JailInfo& info,
                         std::vector<UniqueFd> fds) { state->on_started(info, std::move(fds)); },
      .output = [state](int stream, std::string_view bytes) { state->on_output(stream, bytes); },
      .report = [state](const protocol::JobReport& report) { state->on_report(report); },
      .failure = [state](const jails::Failure& failure) { fail(*state->call, failure); },
  };
}

}  // namespace

void run(jails::Supervisor& supervisor, const CallPtr& call) {
  protocol::JobSpec spec;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("spec", protocol::object(spec));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  if (spec.stdio == protocol::Stdio::kPass && !call->more()) {
    return call->fail(protocol::Invalid{"/parameters/spec/stdio", "\"pass\"", "a call with 'more'"});
  }
  auto state = std::make_shared<Run>(Run{.call = call});
  auto begun = supervisor.run(client_of(call->peer()), spec, observer_of(state));
  if (const auto* failure = std::get_if<jails::Failure>(&begun)) return fail(*call, *failure);
  call->on_pressure(
      [&supervisor, jail = std::get<std::string>(begun)](bool pressed) { supervisor.pause_output(jail, pressed); });
}

}  // namespace sandboxd::api
