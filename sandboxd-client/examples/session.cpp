// One jail for several commands: a session with a label, a file put into it, two jobs, and its end.
//   c++ -std=c++20 session.cpp $(pkg-config --cflags --libs sandboxd-client) -o session && ./session
#include <cstdio>

#include <sandboxd/client.h>

namespace sc = sandboxd::client;

namespace {

int fail(const sc::Error& error) {
  if (error.kind == sc::ErrorKind::kDenied) std::fprintf(stderr, "not allowed here: ");
  std::fprintf(stderr, "%s\n", error.text.c_str());
  return 1;
}

// What a command wrote, or why it did not.
sc::Expected<std::string> output_of(sc::Client& client, const std::string& jail, std::vector<std::string> argv) {
  sc::ExecSpec spec;
  spec.argv = std::move(argv);
  spec.stdio = sc::Stdio::kPass;
  auto job = client.exec(jail, spec);
  if (!job) return job.error();
  auto end = job->communicate();
  if (!end) return end.error();
  return std::move(end->out);
}

}  // namespace

int main() {
  auto client = sc::Client::connect();
  if (!client) return fail(client.error());

  sc::Request request;
  request.spec.labels = {{"example", "session"}};
  request.spec.tmpfs = {{.path = "/work", .size = 16U << 20}};
  request.spec.session_ttl = 10 * 60 * 1'000'000ULL;
  auto jail = client->create(std::move(request));
  if (!jail) return fail(jail.error());

  if (auto written = client->files(jail->jail).write("/work/greeting", "hello from outside\n"); !written) {
    return fail(written.error());
  }
  auto text = output_of(*client, jail->jail, {"cat", "/work/greeting"});
  if (!text) return fail(text.error());
  std::fputs(text->c_str(), stdout);

  auto jobs = client->jobs(jail->jail);
  if (!jobs) return fail(jobs.error());
  for (const sc::JobInfo& job : *jobs) std::printf("job %u: %s\n", job.job, job.state.c_str());

  if (auto removed = client->remove(jail->jail, /*force=*/true); !removed) return fail(removed.error());
  return 0;
}
