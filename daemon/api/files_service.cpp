#include "daemon/api/files_service.h"

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include <fcntl.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/prompt_release.h"
#include "base/text.h"
#include "daemon/api/failure.h"
#include "daemon/files/answer.h"
#include "protocol/codec.h"
#include "protocol/errors.h"
#include "protocol/interfaces.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kMaxJailName = 256;
constexpr std::size_t kMaxData = 512U << 10;
constexpr std::uint64_t kWithin = 60'000'000;     // all but streams
constexpr std::size_t kListReply = 128U << 10;    // bytes of names in one reply
constexpr std::size_t kPerEntry = 128;            // what one entry's reply costs besides its name
constexpr std::uint64_t kDefaultSize = 1U << 30;  // of Put
constexpr std::uint64_t kDefaultEntries = 100'000;
constexpr std::uint64_t kDefaultDepth = 64;
constexpr std::uint64_t kMostDepth = 256;
constexpr std::array<const char*, 6> kTypeNames = {"file", "directory", "symlink", "fifo", "socket", "device"};

enum class Stream : std::uint8_t { kNone, kOut, kIn };

Json encode(const files::FileEntry& entry) {
  Json out = {{"name", protocol::bytes_to_json(entry.name)},
              {"type", kTypeNames.at(static_cast<std::size_t>(entry.type))},
              {"size", entry.size},
              {"mode", entry.mode},
              {"modified", entry.modified}};
  if (entry.type == files::FileType::kSymlink) out["target"] = protocol::bytes_to_json(entry.target);
  return out;
}

// One call from the job's start to its report.
struct Running {
  CallPtr call;
  std::string path{};
  Stream stream = Stream::kNone;
  bool list = false;
  Json (*reply)(const files::Answer& content) = nullptr;  // of the record before the last

  files::AnswerReader reader{};
  files::Answer content{};
  bool has_content = false;
  files::Answer last{};
  bool ended = false;
  bool full = false;  // the user may keep no more
  Json entries = Json::array();
  std::size_t entry_bytes = 0;
  bool cut = false;
  UniqueFd answers{};  // of a stream

  void on_started(std::vector<UniqueFd> fds);
  void on_answers(std::string_view bytes);
  void on_report(const protocol::JobReport& report);
  void take(files::Answer answer);
  void take_entry(const files::FileEntry& entry);
  void read_answers();
  void no_answer(const protocol::JobReport& report);
};

// In the order of wire/init_control.h: standard input's write end, standard output's and standard error's read ends.
void Running::on_started(std::vector<UniqueFd> fds) {
  if (stream == Stream::kNone) return;
  if (fds.size() != 3) return fail(*call, jails::Unavailable{"jail", "a job came without its streams"});
  std::vector<UniqueFd> theirs;
  theirs.push_back(std::move(stream == Stream::kIn ? fds[0] : fds[1]));
  answers = std::move(stream == Stream::kIn ? fds[1] : fds[2]);
  call->reply_more({{"started", true}}, std::move(theirs));
}

void Running::on_answers(std::string_view bytes) {
  reader.feed(bytes);
  while (auto answer = reader.next()) take(std::move(*answer));
}

void Running::take(files::Answer answer) {
  if (answer.kind == files::AnswerKind::kEntry && list) return take_entry(answer.entry);
  if (answer.kind == files::AnswerKind::kEntry || answer.kind == files::AnswerKind::kData) {
    full = full || !call->hold(answer.data.size());
    if (full) return;
    content = std::move(answer);
    has_content = true;
    return;
  }
  last = std::move(answer);
  ended = true;
}

void Running::take_entry(const files::FileEntry& entry) {
  if (cut) return;
  entries.push_back(encode(entry));
  entry_bytes += entry.name.size() + entry.target.size() + kPerEntry;
  if (entry_bytes < kListReply) return;
  if (!call->more()) {
    cut = true;
    return;
  }
  call->reply_more({{"entries", std::exchange(entries, Json::array())}, {"complete", false}});
  entry_bytes = 0;
}

// Its writers are gone: all that was said is in the pipe.
void Running::read_answers() {
  if (!answers) return;
  const int flags = ::fcntl(answers.get(), F_GETFL);
  if (flags < 0 || ::fcntl(answers.get(), F_SETFL, flags | O_NONBLOCK) < 0) return;
  std::array<char, 2 * files::kMostAnswer> buffer{};
  ssize_t got = 0;
  {
    const PromptRelease prompt;  // jail-init made it, and may have made it block again
    got = ::read(answers.get(), buffer.data(), buffer.size());
  }
  if (got > 0) on_answers({buffer.data(), static_cast<std::size_t>(got)});
  answers.reset();
}

void Running::no_answer(const protocol::JobReport& report) {
  const std::string detail =
      fmt::format("the program in the jail gave no answer: {}{}", protocol::name_of(report.verdict),
                  report.signal ? fmt::format(" by signal {}", *report.signal) : "");
  const int code = report.verdict == protocol::Verdict::kTimeoutWall ? ETIMEDOUT : EPROTO;
  call->fail(protocol::kFilesFailed,
             {{"operation", "run"}, {"path", protocol::bytes_to_json(path)}, {"errno", code}, {"detail", detail}});
}

void Running::on_report(const protocol::JobReport& report) {
  read_answers();
  if (full) return fail(*call, jails::LimitReached{"user_pending_bytes", 0, "user"});
  const bool needs_content = reply != nullptr;
  if (!ended || reader.broken() || reader.pending() > 0) return no_answer(report);
  if (last.kind == files::AnswerKind::kFailed) {
    return call->fail(protocol::kFilesFailed, {{"operation", escaped(last.operation)},
                                               {"path", protocol::bytes_to_json(last.path)},
                                               {"errno", last.code},
                                               {"detail", escaped(last.detail)}});
  }
  if (last.kind == files::AnswerKind::kRefused) {
    return call->fail(
        protocol::kFilesRefused,
        {{"limit", last.limit}, {"path", protocol::bytes_to_json(last.path)}, {"detail", escaped(last.detail)}});
  }
  if (list) return call->reply({{"entries", std::move(entries)}, {"complete", !cut}});
  if (stream != Stream::kNone) return call->reply({{"files", last.files}, {"bytes", last.bytes}});
  if (!needs_content) return call->reply(Json::object());
  if (!has_content) return no_answer(report);
  call->reply(reply(content));
}

Json data_reply(const files::Answer& content) {
  return {{"data", protocol::bytes_to_json(content.data)}, {"end", content.end}, {"size", content.size}};
}
Json stat_reply(const files::Answer& content) { return {{"stat", encode(content.entry)}}; }

bool needs_more(Call& call) {
  if (call.more()) return false;
  call.fail(protocol::Invalid{"/more", "false", "true: a stream comes with the first of several replies"});
  return true;
}

}  // namespace

struct FilesService::Operation {
  CallPtr call;
  std::string jail{}, path{};
  std::vector<std::string> words{};  // of the program's argv, without its name
  std::optional<std::string> input{};
  Stream stream = Stream::kNone;
  bool list = false;
  Json (*reply)(const files::Answer& content) = nullptr;

  // What all have, and what `more` reads; false: answered.
  template <class More> bool read_parameters(More more) {
    protocol::ObjectReader reader(call->parameters(), "/parameters");
    reader.required("jail", protocol::string(kMaxJailName, jail));
    reader.required("path", protocol::path_bytes(protocol::into(path)));
    more(reader);
    const protocol::Checked wrong = reader.finish();
    if (wrong) call->fail(*wrong);
    return !wrong;
  }
};

void FilesService::begin(Operation operation) {
  const CallPtr& call = operation.call;
  UniqueFd program(program_ ? ::fcntl(program_.get(), F_DUPFD_CLOEXEC, 3) : -1);
  if (!program) return fail(*call, jails::Unavailable{"sandboxd-jail-files", "this daemon has no such program"});
  protocol::ExecSpec spec;
  spec.argv = {"sandboxd-files"};
  for (std::string& word : operation.words) spec.argv.push_back(std::move(word));
  spec.stdin_data = std::move(operation.input);
  if (operation.stream == Stream::kNone) spec.wall_time = kWithin;
  if (operation.stream != Stream::kNone) spec.stdio = protocol::Stdio::kPass;
  // One that unpacks sees the end of its input when the client goes, and takes back what it began: it isn't killed for that.
  spec.detach = operation.stream == Stream::kIn;
  auto state = std::make_shared<Running>();
  state->call = call;
  state->path = operation.path;
  state->stream = operation.stream;
  state->list = operation.list;
  state->reply = operation.reply;
  jails::JobObserver observer{
      .started = [state](const protocol::JobInfo&, std::vector<UniqueFd> fds) { state->on_started(std::move(fds)); },
      .output =
          [state](int stream, std::string_view bytes) {
            if (stream == 1) state->on_answers(bytes);
          },
      .report = [state](const protocol::JobReport& report) { state->on_report(report); },
      .failure = [state](const jails::Failure& failure) { fail(*state->call, failure); },
  };
  const jails::Client client = client_of(call->peer());
  auto begun = supervisor_.exec(client, operation.jail, spec, std::move(observer), std::move(program));
  if (const auto* failure = std::get_if<jails::Failure>(&begun)) return fail(*call, *failure);
  if (operation.stream != Stream::kNone) return;
  call->on_pressure([this, client, jail = operation.jail, job = std::get<std::uint32_t>(begun)](bool pressed) {
    supervisor_.pause_job_output(client, jail, job, pressed);
  });
}

void FilesService::read(const CallPtr& call) {
  Operation operation{.call = call, .reply = data_reply};
  std::uint64_t offset = 0;
  std::uint64_t length = files::kMostRead;
  const auto more = [&](protocol::ObjectReader& reader) {
    reader.optional("offset", protocol::whole(0, protocol::kMaxNumber, protocol::into(offset)));
    reader.optional("length", protocol::whole(0, files::kMostRead, protocol::into(length)));
  };
  if (!operation.read_parameters(more)) return;
  operation.words = {"read", operation.path, std::to_string(offset), std::to_string(length)};
  begin(std::move(operation));
}

void FilesService::write(const CallPtr& call) {
  Operation operation{.call = call};
  std::string data;
  std::uint64_t mode = 0644;
  bool append = false;
  bool exclusive = false;
  const auto more = [&](protocol::ObjectReader& reader) {
    reader.required("data", protocol::bytes(kMaxData, protocol::into(data)));
    reader.optional("mode", protocol::whole(0, 0777, protocol::into(mode)));
    reader.optional("append", protocol::boolean(append));
    reader.optional("exclusive", protocol::boolean(exclusive));
    reader.rule(!append || !exclusive, "exclusive", "false where append is true");
  };
  if (!operation.read_parameters(more)) return;
  operation.words = {"write", operation.path, std::to_string(data.size()), fmt::format("{:o}", mode),
                     append      ? "a"
                     : exclusive ? "x"
                                 : "-"};
  operation.input = std::move(data);
  begin(std::move(operation));
}

void FilesService::list(const CallPtr& call) {
  Operation operation{.call = call, .list = true};
  if (!operation.read_parameters([](protocol::ObjectReader&) {})) return;
  operation.words = {"list", operation.path};
  begin(std::move(operation));
}

void FilesService::stat(const CallPtr& call) {
  Operation operation{.call = call, .reply = stat_reply};
  bool follow = false;
  const auto more = [&](protocol::ObjectReader& reader) { reader.optional("follow", protocol::boolean(follow)); };
  if (!operation.read_parameters(more)) return;
  operation.words = {"stat", operation.path, follow ? "1" : "0"};
  begin(std::move(operation));
}

void FilesService::remove(const CallPtr& call) {
  Operation operation{.call = call};
  bool recursive = false;
  const auto more = [&](protocol::ObjectReader& reader) { reader.optional("recursive", protocol::boolean(recursive)); };
  if (!operation.read_parameters(more)) return;
  operation.words = {"remove", operation.path, recursive ? "1" : "0"};
  begin(std::move(operation));
}

void FilesService::get(const CallPtr& call) {
  Operation operation{.call = call, .stream = Stream::kOut};
  if (!operation.read_parameters([](protocol::ObjectReader&) {}) || needs_more(*call)) return;
  operation.words = {"archive", operation.path};
  begin(std::move(operation));
}

void FilesService::put(const CallPtr& call) {
  Operation operation{.call = call, .stream = Stream::kIn};
  std::uint64_t size = kDefaultSize;
  std::uint64_t entries = kDefaultEntries;
  std::uint64_t depth = kDefaultDepth;
  const auto more = [&](protocol::ObjectReader& reader) {
    reader.optional("size_max", protocol::whole(0, protocol::kMaxNumber, protocol::into(size)));
    reader.optional("entries_max", protocol::whole(1, protocol::kMaxNumber, protocol::into(entries)));
    reader.optional("depth_max", protocol::whole(1, kMostDepth, protocol::into(depth)));
  };
  if (!operation.read_parameters(more) || needs_more(*call)) return;
  operation.words = {"extract", operation.path, std::to_string(size), std::to_string(entries), std::to_string(depth)};
  begin(std::move(operation));
}

Interface FilesService::interface() {
  const auto method = [this](void (FilesService::*run)(const CallPtr&)) {
    return [this, run](const CallPtr& call) { (this->*run)(call); };
  };
  return {"org.sandboxd.Files",
          protocol::kSandboxdFilesInterface,
          {{"Read", method(&FilesService::read)},
           {"Write", method(&FilesService::write)},
           {"List", method(&FilesService::list)},
           {"Stat", method(&FilesService::stat)},
           {"Remove", method(&FilesService::remove)},
           {"Get", method(&FilesService::get)},
           {"Put", method(&FilesService::put)}}};
}

}  // namespace sandboxd::api
