#include "daemon/api/run.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "daemon/api/failure.h"
#include "protocol/codec.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kMaxJailName = 256;
constexpr std::size_t kOutputPiece = 256U << 10;
constexpr std::array<const char*, 2> kStreamNames = {"stdout", "stderr"};

struct Captured {
  std::string head{}, tail{};
  std::uint64_t total = 0;
  bool full = false;  // the user may keep no more

  [[nodiscard]] std::uint64_t cut() const { return total - head.size() - tail.size(); }
};

struct Running {
  CallPtr call;
  bool detach = false;
  Json started{};
  std::array<Captured, 2> streams{};  // stdout, stderr

  template <class Info> void on_started(const Info& info, std::vector<UniqueFd> fds);
  void on_output(int stream, std::string_view bytes);
  void on_report(const protocol::JobReport& report);
  void capture(Captured& stream, std::string_view bytes);
};

template <class Info> void Running::on_started(const Info& info, std::vector<UniqueFd> fds) {
  started = protocol::encode(info);
  if (detach) return call->reply({{"started", started}});
  if (call->more()) call->reply_more({{"started", started}}, std::move(fds));
}

void Running::on_output(int stream, std::string_view bytes) {
  if (stream != 1 && stream != 2) return;
  const auto index = static_cast<std::size_t>(stream - 1);
  if (!call->more()) return capture(streams.at(index), bytes);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kOutputPiece);
    call->reply_more({{"output", {{"stream", kStreamNames.at(index)}, {"data", protocol::bytes_to_json(part)}}}});
    bytes.remove_prefix(part.size());
  }
}

// The beginning, then a window that moves on: what is between them is only counted.
void Running::capture(Captured& stream, std::string_view bytes) {
  stream.total += bytes.size();
  const std::string_view first = bytes.substr(0, kCapturedHead - stream.head.size());
  if (!stream.full && !first.empty()) {
    stream.full = !call->hold(first.size());
    if (!stream.full) {
      stream.head.append(first);
      bytes.remove_prefix(first.size());
    }
  }
  if (bytes.empty() || stream.full) return;
  if (stream.tail.capacity() == 0) {
    stream.full = !call->hold(2 * kCapturedTail);
    if (stream.full) return;
    stream.tail.reserve(2 * kCapturedTail);
  }
  if (bytes.size() > kCapturedTail) bytes.remove_prefix(bytes.size() - kCapturedTail);
  if (stream.tail.size() + bytes.size() > 2 * kCapturedTail) stream.tail.erase(0, stream.tail.size() - kCapturedTail);
  stream.tail.append(bytes);
}

void Running::on_report(const protocol::JobReport& report) {
  Json reply = {{"report", protocol::encode(report)}};
  if (!call->more()) {
    reply["started"] = std::move(started);
    for (std::size_t i = 0; i < streams.size(); ++i) {
      Captured& stream = streams.at(i);
      const std::string name = kStreamNames.at(i);
      if (stream.tail.size() > kCapturedTail) stream.tail.erase(0, stream.tail.size() - kCapturedTail);
      // Nothing is missing: one text.
      if (stream.cut() == 0) stream.head += std::exchange(stream.tail, {});
      reply[name] = protocol::bytes_to_json(stream.head);
      reply[name + "_cut"] = stream.cut();
      if (stream.cut() != 0) reply[name + "_tail"] = protocol::bytes_to_json(stream.tail);
    }
  }
  call->reply(reply);
}

template <class Observer, class Info> Observer observer_of(const std::shared_ptr<Running>& state) {
  return {
      .started = [state](const Info& info, std::vector<UniqueFd> fds) { state->on_started(info, std::move(fds)); },
      .output = [state](int stream, std::string_view bytes) { state->on_output(stream, bytes); },
      .report = [state](const protocol::JobReport& report) { state->on_report(report); },
      .failure = [state](const jails::Failure& failure) { fail(*state->call, failure); },
  };
}

bool needs_more(Call& call, protocol::Stdio stdio, bool tty) {
  if (stdio != protocol::Stdio::kPass || call.more()) return false;
  call.fail(
      protocol::Invalid{tty ? "/parameters/spec/tty" : "/parameters/spec/stdio", "\"pass\"", "a call with 'more'"});
  return true;
}

}  // namespace

void run(jails::Supervisor& supervisor, const CallPtr& call) {
  protocol::JobSpec spec;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("spec", protocol::object(spec));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  if (needs_more(*call, spec.stdio, spec.tty.has_value())) return;
  auto state = std::make_shared<Running>(Running{.call = call, .detach = spec.detach});
  auto begun =
      supervisor.run(client_of(call->peer()), spec, observer_of<jails::RunObserver, protocol::JailInfo>(state));
  if (const auto* failure = std::get_if<jails::Failure>(&begun)) return fail(*call, *failure);
  if (spec.detach) return;
  call->on_pressure(
      [&supervisor, jail = std::get<std::string>(begun)](bool pressed) { supervisor.pause_output(jail, pressed); });
}

void exec(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  protocol::ExecSpec spec;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.required("spec", protocol::object(spec));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  if (needs_more(*call, spec.stdio, spec.tty.has_value())) return;
  auto state = std::make_shared<Running>(Running{.call = call, .detach = spec.detach});
  const jails::Client client = client_of(call->peer());
  auto begun = supervisor.exec(client, jail, spec, observer_of<jails::JobObserver, protocol::JobInfo>(state));
  if (const auto* failure = std::get_if<jails::Failure>(&begun)) return fail(*call, *failure);
  if (spec.detach) return;
  call->on_pressure([&supervisor, client, jail, job = std::get<std::uint32_t>(begun)](bool pressed) {
    supervisor.pause_job_output(client, jail, job, pressed);
  });
}

}  // namespace sandboxd::api
