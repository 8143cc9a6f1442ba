// What a jail-init that somebody has taken over can say to sandboxd: packets of any size, records of any event, job and number,
// with descriptors of any kind, between what a client asks for. Real supervisor, jail, jobs and sockets; the launcher and the
// audit program are those of the unit tests. Beside memory faults this looks for: a client that is not told one end of its job,
// or told one twice; descriptors that are no stream in a client's hands; text of the jail that could steer a terminal; a jail
// that does not end; descriptors that are left.
//
// The input: one byte for the jail (a run or a session, and its streams), then steps of one byte and its operands.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/socket.h"
#include "base/text.h"
#include "daemon/jails/make_supervisor.h"
#include "tests/fuzz/input.h"
#include "tests/unit/jails/fakes.h"

namespace sandboxd::jails {
namespace {

using protocol::Stdio;

constexpr std::size_t kMostSteps = 64;

using fuzz::check;
using fuzz::Input;

void check_text(const std::string& text) { check(escaped(text) == text); }

// What one client has heard of one run or job.
struct Heard {
  int started = 0, ends = 0;
  std::vector<UniqueFd> fds{};

  void on_started(std::vector<UniqueFd> theirs) {
    check(++started == 1 && ends == 0);
    for (const UniqueFd& fd : theirs) {
      struct stat info {};
      check(::fstat(fd.get(), &info) == 0 && S_ISFIFO(info.st_mode));
    }
    fds = std::move(theirs);
  }
  void on_output(int stream) { check(ends == 0 && (stream == 1 || stream == 2)); }
  void on_report(const protocol::JobReport& report) {
    check(++ends == 1);
    check(!report.signal || (*report.signal > 0 && *report.signal <= 64));
    check_text(report.detail);
  }
  void on_failure(const Failure& failure) {
    check(++ends == 1);
    const auto* setup = std::get_if<SetupFailed>(&failure);
    if (setup == nullptr) return;
    check_text(setup->step);
    check_text(setup->detail);
  }
};

template <class Observer> Observer observer_of(const std::shared_ptr<Heard>& heard) {
  return {[heard](const auto&, std::vector<UniqueFd> fds) { heard->on_started(std::move(fds)); },
          [heard](int stream, std::string_view) { heard->on_output(stream); },
          [heard](const protocol::JobReport& report) { heard->on_report(report); },
          [heard](const Failure& failure) { heard->on_failure(failure); }};
}

struct World {
  std::string folder{};
  test::Loop loop = test::make_loop();
  std::unique_ptr<test::FakeLauncher> launcher{};
  std::unique_ptr<test::FakeAudit> audit{};
  std::unique_ptr<Supervisor> supervisor{};

  World() {
    spdlog::set_level(spdlog::level::off);
    char name[] = "/tmp/sandboxd-fuzz-control-XXXXXX";
    check(::mkdtemp(name) != nullptr);
    folder = name;
    launcher = std::make_unique<test::FakeLauncher>(loop.get(), folder + "/launcher.sock");
    launcher->forks = false;
    audit = std::make_unique<test::FakeAudit>(loop.get(), folder + "/audit.sock");
    Deps deps;
    deps.launcher_socket = folder + "/launcher.sock";
    deps.audit_socket = folder + "/audit.sock";
    deps.user_names = {{1000, "alice"}};
    deps.numbers = 4;
    deps.log_directory = folder + "/logs";
    check(::mkdir(deps.log_directory.c_str(), 0700) == 0);
    supervisor = make_supervisor(loop.get(), std::move(deps));
    check(until([this] { return supervisor->explain(client(), {.argv = {"/bin/true"}}).index() == 0; }));
  }
  ~World() { std::filesystem::remove_all(folder); }

  static Client client() { return {1000, 1000, 1, {}, false, 7}; }
  bool until(const std::function<bool()>& done) const { return test::run_until(loop.get(), done); }
  void turn() const {
    for (int i = 0; i < 64 && sd_event_run(loop.get(), 0) > 0; ++i) {
    }
  }
};

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// One input: a jail, what is said and done, and its end.
class Story {
 public:
  Story(World& world, Input input) : world_(world), input_(input) {}

  void run() {
    begin();
    for (std::size_t i = 0; i < kMostSteps && !input_.empty(); ++i) step();
    world_.turn();
    end();
  }

 private:
  void begin() {
    const std::uint8_t kind = input_.byte();
    protocol::JobSpec spec;
    if ((kind & 1U) != 0) {
      bool told = false;
      world_.supervisor->create(World::client(), spec, [&](auto made) {
        told = true;
        check(made.index() == 0);
        jail_ = std::get<0>(made).jail;
      });
      check(world_.until([&] { return told; }));
    } else {
      spec.argv = {"/bin/true"};
      choose_streams(spec, kind >> 1U);
      auto begun = world_.supervisor->run(World::client(), spec, observer_of<RunObserver>(hear()));
      check(begun.index() == 0);
      jail_ = std::get<0>(begun);
      check(world_.until([&] { return !world_.launcher->jails.empty(); }));
    }
    init_ = world_.launcher->jails.begin()->second;
    world_.turn();
  }

  template <class Spec> static void choose_streams(Spec& spec, unsigned bits) {
    constexpr Stdio kKinds[] = {Stdio::kNull, Stdio::kRelay, Stdio::kPass, Stdio::kRelay};
    spec.stdio = kKinds[bits & 3U];
    spec.detach = (bits & 4U) != 0 && spec.stdio != Stdio::kPass;
    if (spec.stdio == Stdio::kNull) return;
    spec.merge_stderr = (bits & 8U) != 0;
    spec.log = (bits & 16U) != 0;
    if ((bits & 32U) != 0) spec.tty = protocol::WindowSize{24, 80};
    if (spec.stdio == Stdio::kRelay && !spec.tty) spec.stdin_data = "input";
  }

  std::shared_ptr<Heard> hear() {
    heard_.push_back(std::make_shared<Heard>());
    return heard_.back();
  }

  void step() {
    switch (input_.byte() % 8) {
      case 0: return exec();
      case 1: return say_record();
      case 2: return send(input_.bytes(std::size_t{2} * input_.byte()), {});
      case 3: return give_streams();
      case 4: return world_.turn();
      case 5: return as_client();
      case 6: return use_stream();
      default: return say_as_expected();
    }
  }

  void exec() {
    protocol::ExecSpec spec;
    spec.argv = {"/bin/true"};
    choose_streams(spec, input_.byte());
    const auto heard = hear();
    const auto begun =
        world_.supervisor->exec(World::client(), jail_, spec, observer_of<JobObserver>(heard), UniqueFd());
    if (begun.index() != 0) heard_.pop_back();
    if (begun.index() == 0) last_job_ = std::get<0>(begun);
    world_.turn();
  }

  void send(std::span<const std::uint8_t> bytes, const std::vector<UniqueFd>& with) const {
    std::vector<int> fds;
    for (const UniqueFd& fd : with) fds.push_back(fd.get());
    if (init_->control && !bytes.empty()) (void)send_packet(init_->control.get(), bytes, fds, MSG_DONTWAIT);
  }

  void say(wire::InitEvent event, std::uint32_t job, std::int32_t value, std::int32_t code,
           std::span<const std::uint8_t> text, const std::vector<UniqueFd>& with) const {
    wire::InitEventRecord record{};
    record.event = event;
    record.job = job;
    record.value = value;
    record.code = code;
    record.max_rss_bytes = UINT64_MAX;
    // All of it: nothing says where the text ends.
    std::ranges::copy(text.first(std::min(text.size(), sizeof record.text)), record.text);
    std::ranges::copy(text.first(std::min(text.size(), sizeof record.step)), record.step);
    send({reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, with);
  }

  void say_record() {
    const auto event = static_cast<wire::InitEvent>(input_.byte() % 12);
    const std::uint32_t job = job_of(input_.byte());
    const auto value = static_cast<std::int32_t>(input_.byte() | (input_.byte() << 8U) | ((input_.byte() & 1U) << 31U));
    const std::int32_t code = static_cast<std::int8_t>(input_.byte());
    const std::uint8_t kinds = input_.byte();
    say(event, job, value, code, input_.bytes(input_.byte() % 128), some_descriptors(kinds));
  }

  [[nodiscard]] std::uint32_t job_of(std::uint8_t chosen) const {
    return chosen == 255 ? UINT32_MAX : (chosen & 7U) == 7 ? last_job_ : chosen & 7U;
  }

  // The next thing that a good jail-init would say of the last job.
  void say_as_expected() {
    constexpr wire::InitEvent kOrder[] = {wire::InitEvent::kJobReady, wire::InitEvent::kJobStarted,
                                          wire::InitEvent::kJobExited, wire::InitEvent::kJobGone};
    say(kOrder[input_.byte() % 4], last_job_, 0, 0, {}, {});
    world_.turn();
  }

  // A pipe's end of the direction that `writes` asks for; the other is kept, as the job's.
  UniqueFd pipe_end(bool writes) {
    int ends[2];
    check(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    inner_.emplace_back(ends[writes ? 0 : 1]);
    return UniqueFd(ends[writes ? 1 : 0]);
  }

  UniqueFd terminal() {
    UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    check(master.valid() && ::unlockpt(master.get()) == 0);
    inner_.emplace_back(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    return master;
  }

  std::vector<UniqueFd> some_descriptors(std::uint8_t kinds) {
    std::vector<UniqueFd> fds;
    if ((kinds & 1U) != 0) fds.push_back(pipe_end(true));
    if ((kinds & 2U) != 0) fds.push_back(pipe_end(false));
    if ((kinds & 4U) != 0) fds.push_back(pipe_end(false));
    if ((kinds & 8U) != 0) fds.emplace_back(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if ((kinds & 16U) != 0) fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if ((kinds & 32U) != 0) fds.push_back(terminal());
    if ((kinds & 64U) != 0) fds.emplace_back(::open("/proc/self/fd", O_PATH | O_CLOEXEC));
    return fds;
  }

  void give_streams() {
    const std::uint32_t job = job_of(input_.byte());
    constexpr std::uint8_t kKinds[] = {7, 3, 32};
    say(wire::InitEvent::kStreams, job, 0, 0, {}, some_descriptors(kKinds[input_.byte() % 3]));
    world_.turn();
  }

  void as_client() {
    const std::uint8_t what = input_.byte();
    const std::uint32_t job = job_of(what >> 4U);
    const Client client = World::client();
    switch (what & 7U) {
      case 0: (void)world_.supervisor->signal(client, jail_, job, 10); break;
      case 1: (void)world_.supervisor->kill_job(client, jail_, job, 15, 0); break;
      case 2: attach(job); break;
      case 3: (void)world_.supervisor->resize(client, jail_, job, {30, 90}); break;
      case 4: (void)world_.supervisor->detach(client, jail_, job); break;
      case 5: look(); break;
      case 6: attached_.clear(); break;
      default: hang_up(); break;
    }
    world_.turn();
  }

  void attach(std::uint32_t job) {
    const auto heard = std::make_shared<Heard>();
    attached_.push_back(
        world_.supervisor->attach(World::client(), jail_, job, std::nullopt, observer_of<JobObserver>(heard)));
    attachments_.push_back(heard);
  }

  void look() {
    const auto jobs = world_.supervisor->jobs(World::client(), jail_);
    if (jobs.index() != 0) return;
    for (const protocol::JobInfo& info : std::get<0>(jobs)) check(info.job > 0 && info.argv.size() == 1);
  }

  // What is attached to it is killed, and nobody is told.
  void hang_up() {
    world_.supervisor->disconnected(World::client());
    hung_up_ = true;
  }

  void use_stream() {
    const std::uint8_t what = input_.byte();
    if (inner_.empty()) return;
    UniqueFd& chosen = inner_.at((what >> 1U) % inner_.size());
    if ((what & 1U) != 0) chosen.reset();
    const auto text = input_.bytes(input_.byte());
    if (chosen) (void)::write(chosen.get(), text.data(), text.size());
    world_.turn();
  }

  void end() {
    inner_.clear();
    init_->die();
    std::optional<std::variant<protocol::JobReport, Failure>> last;
    world_.supervisor->wait(World::client(), jail_, [&last](auto end) { last = std::move(end); });
    bool removed = false;
    world_.supervisor->remove(World::client(), jail_, true, [&removed](auto failure) {
      check(!failure);
      removed = true;
    });
    check(world_.until([&] { return removed && last.has_value(); }));
    const auto told = [](const auto& heard) { return heard->ends == 1; };
    check(world_.until([&] { return hung_up_ || std::ranges::all_of(heard_, told); }));
    check(world_.until([&] { return std::ranges::all_of(attachments_, told); }));
    for (const wire::AuditRecord& record : world_.audit->records) check(nlohmann::json::accept(record.detail));
    world_.audit->records.clear();
    world_.launcher->jails.clear();
    world_.launcher->seen.clear();
    world_.launcher->removed.clear();
    world_.launcher->killed.clear();
  }

  World& world_;
  Input input_;
  std::string jail_{};
  std::shared_ptr<test::FakeJail> init_{};
  std::uint32_t last_job_ = wire::kFirstJob;
  std::vector<std::shared_ptr<Heard>> heard_{}, attachments_{};
  std::vector<std::shared_ptr<void>> attached_{};
  std::vector<UniqueFd> inner_{};
  bool hung_up_ = false;
};

}  // namespace
}  // namespace sandboxd::jails

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  std::signal(SIGPIPE, SIG_IGN);
  GTEST_FLAG_SET(break_on_failure, true);  // what the fakes expect
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sandboxd::jails;
  static World world;
  static std::size_t most = 0;  // with what an event loop opens once
  Story(world, {data, size}).run();
  const std::size_t now = open_descriptors();
  if (most == 0) most = now + 4;
  check(now <= most);
  return 0;
}
