// Runs a command on the current directory, which it may read, and shows what came of it.
//   c++ -std=c++20 run.cpp $(pkg-config --cflags --libs sandboxd-client) -o run && ./run ls -l
#include <cstdio>

#include <sandboxd/client.h>

namespace sc = sandboxd::client;

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: run COMMAND [ARGUMENT...]\n"), 2;
  auto client = sc::Client::connect();
  if (!client) return std::fprintf(stderr, "%s\n", client.error().text.c_str()), 1;

  sc::Request request;
  request.spec.argv.assign(argv + 1, argv + argc);
  request.spec.stdio = sc::Stdio::kPass;
  if (auto shown = request.workspace("."); !shown) return std::fprintf(stderr, "%s\n", shown.error().text.c_str()), 1;

  auto job = client->run(std::move(request));
  if (!job) return std::fprintf(stderr, "%s\n", job.error().text.c_str()), 1;
  auto end = job->communicate();
  if (!end) return std::fprintf(stderr, "%s\n", end.error().text.c_str()), 1;
  std::fwrite(end->out.data(), 1, end->out.size(), stdout);
  std::fwrite(end->error.data(), 1, end->error.size(), stderr);
  return end->report.exit_code.value_or(1);
}
