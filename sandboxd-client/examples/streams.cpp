// A job's streams in an event loop of one's own: poll(2) over the job's pipes and its replies, with a time limit.
//   c++ -std=c++20 streams.cpp $(pkg-config --cflags --libs sandboxd-client) -o streams && ./streams
#include <array>
#include <cstdio>
#include <optional>
#include <string>

#include <poll.h>
#include <unistd.h>

#include <sandboxd/client.h>

namespace sc = sandboxd::client;

namespace {

constexpr const char* kCommand = "for i in 1 2 3; do echo line $i; echo note $i >&2; done";

// False at its end.
bool copy_some(sc::Fd& from, const char* prefix) {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::read(from.get(), bytes.data(), bytes.size());
  if (got <= 0) return false;
  std::printf("%s: %.*s", prefix, static_cast<int>(got), bytes.data());
  return true;
}

}  // namespace

int main() {
  auto client = sc::Client::connect();
  if (!client) return std::fprintf(stderr, "%s\n", client.error().text.c_str()), 1;
  sc::Request request;
  request.spec.argv = {"sh", "-c", kCommand};
  request.spec.stdio = sc::Stdio::kPass;
  request.spec.wall_time = 60 * 1'000'000;
  auto job = client->run(std::move(request));
  if (!job) return std::fprintf(stderr, "%s\n", job.error().text.c_str()), 1;
  job->input.reset();  // it reads nothing

  std::optional<sc::JobReport> report;
  while (!report || job->output || job->error) {
    // Updates first: one may have come together with the job's start, which no poll tells of.
    while (!report) {
      auto update = job->next(std::chrono::milliseconds(0));
      if (!update) return std::fprintf(stderr, "%s\n", update.error().text.c_str()), 1;
      if (!update.value()) break;
      report = (*update)->report;
    }
    std::array<pollfd, 3> polled = {{{report ? -1 : job->fd(), POLLIN, 0},  // negative ones are passed over
                                     {job->output.get(), POLLIN, 0},
                                     {job->error.get(), POLLIN, 0}}};
    if (report && !job->output && !job->error) break;
    if (::poll(polled.data(), polled.size(), -1) < 0) return 1;
    if (polled[1].revents != 0 && !copy_some(job->output, "output")) job->output.reset();
    if (polled[2].revents != 0 && !copy_some(job->error, "error")) job->error.reset();
  }
  std::printf("ended: %s\n", std::string(sc::verdict_name(report->verdict)).c_str());
  return 0;
}
