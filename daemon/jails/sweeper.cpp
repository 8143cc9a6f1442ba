#include "daemon/jails/sweeper.h"

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>

namespace sandboxd::jails {
namespace {

constexpr std::uint64_t kLongestRetry = 5'000'000;
constexpr std::uint64_t kListAgain = 1'000'000;

}  // namespace

void Sweeper::start() {
  launcher_.request(wire::LauncherMessage::kList, wire::NumberRequest{},
                    [this](Result<wire::Message> answer) { on_list(answer); });
}

void Sweeper::on_list(const Result<wire::Message>& answer) {
  if (!answer.ok()) return;  // the connection is gone; the next one starts again
  const auto list = wire::body_of<wire::NumberList>(*answer);
  if (answer->type != static_cast<std::uint16_t>(wire::LauncherMessage::kListed) || !list.ok()) {
    spdlog::error("launcher: the list of jails can't be had");
    const Status armed = again_.arm(loop_, kListAgain, [this] { start(); });
    if (!armed.ok()) spdlog::error("launcher: {}", armed.error().message());
    return;
  }
  for (const std::uint32_t number : list->numbers) {
    if (!callbacks_.is_ours(number)) end(number);
  }
  listed_ = true;
  callbacks_.done();
}

void Sweeper::end(std::uint32_t number) {
  if (left_.contains(number)) return;
  left_[number];
  callbacks_.taken(number);
  spdlog::warn("number {}: a jail of an earlier life is ended", number);
  launcher_.request(wire::LauncherMessage::kKill, wire::NumberRequest{number}, {});
  wire::AuditRecord record{"jail.exit",
                           wire::AuditPhase::kResult,
                           "unknown",
                           "",
                           "",
                           0,
                           fmt::format(R"({{"number":{},"detail":"ended with the daemon"}})", number)};
  audit_.append(std::move(record), [this, number](const Result<std::uint64_t>& index) {
    if (!index.ok()) spdlog::error("number {}: {}", number, index.error().message());
    remove(number);
  });
}

void Sweeper::remove(std::uint32_t number) {
  launcher_.request(wire::LauncherMessage::kRemove, wire::NumberRequest{number},
                    [this, number](Result<wire::Message> answer) { on_removed(number, answer); });
}

void Sweeper::on_removed(std::uint32_t number, const Result<wire::Message>& answer) {
  const auto failed = answer.ok() ? wire::body_of<wire::Failed>(*answer) : Result<wire::Failed>(answer.error());
  const bool done = answer.ok() && answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kDone);
  if (done || (failed.ok() && failed->code == ENOENT)) {
    left_.erase(number);
    callbacks_.free(number);
    return;
  }
  Left& left = left_[number];
  left.retry_usec = std::min(left.retry_usec * 2, kLongestRetry);
  const Status armed = left.retry.arm(loop_, left.retry_usec, [this, number] { remove(number); });
  if (!armed.ok()) spdlog::error("number {}: {}", number, armed.error().message());
}

}  // namespace sandboxd::jails
