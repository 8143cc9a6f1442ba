// cp: files and directories into a jail and out of it, as tar streams. What comes out of a jail is hostile: archive/ checks it, and
// puts it in place when all of it was good.
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <span>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "archive/pack.h"
#include "archive/unpack.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/cp_place.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

using archive::Totals;
using archive::Trouble;
using client::Client;
using client::Expected;

constexpr std::chrono::seconds kLastWord{10};  // how long the daemon may take to say why a stream broke off

volatile std::sig_atomic_t g_stop = 0;

// What was begun is taken back before a signal ends us; the second of a kind ends us at once.
void stop_at_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) { g_stop = number; };
  action.sa_flags = SA_RESETHAND;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}
archive::Patience patience() { return {.stop = &g_stop}; }

// Notes that the stream has come to an end, good or not.
class NotingSource final : public archive::Source {
 public:
  NotingSource(int fd, archive::Patience patience) : source_(fd, patience) {}
  Result<std::size_t> read(std::span<char> into) override {
    TRY_ASSIGN(const std::size_t got, source_.read(into));
    ended_ = ended_ || got == 0;
    return got;
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  archive::FdSource source_;
  bool ended_ = false;
};

struct CopyOptions {
  std::string source{}, destination{};
  std::optional<std::string> size{};
  std::uint64_t entries = archive::Limits{}.entries, depth = archive::Limits{}.depth;
  archive::Limits limits{};
};

class Copy {
 public:
  Copy(const Invocation& invocation, const CopyOptions& options) : invocation_(invocation), options_(options) {}

  int run() {
    auto from = copy_place_from_text(options_.source);
    auto to = copy_place_from_text(options_.destination);
    if (!from.ok()) return fail(invocation_, from.error());
    if (!to.ok()) return fail(invocation_, to.error());
    if (from->jail.has_value() == to->jail.has_value())
      return fail(invocation_, "exactly one of the two must be JAIL:/path");
    stop_at_signals();
    return with_client(invocation_, [&](Client& client) {
      client::Files files = client.files(from->jail ? *from->jail : *to->jail);
      return from->jail ? out(files, *from, *to) : in(files, *from, *to);
    });
  }

 private:
  int out(client::Files& files, const CopyPlace& from, const CopyPlace& to);
  int out_to_stream(client::Transfer& transfer);
  int out_to_place(client::Transfer& transfer, const std::string& place, const archive::UnpackOptions& options);
  int in(client::Files& files, const CopyPlace& from, const CopyPlace& to);
  int in_from_stream(client::Transfer& transfer);
  int in_from_place(client::Transfer& transfer, const CopyPlace& from, const std::string& as);
  Result<std::string> place_outside(const CopyPlace& from, const CopyPlace& to, archive::UnpackOptions& options);
  Expected<std::string> place_inside(client::Files& files, const CopyPlace& to, bool is_directory, std::string& as);

  Status pump(int from, int to, std::uint64_t& bytes);
  int trouble(const Trouble& trouble, const Status& status, const std::string& where);
  int done(std::uint64_t files, std::uint64_t bytes);
  int stopped() const { return 128 + g_stop; }

  const Invocation& invocation_;
  const CopyOptions& options_;
};

int Copy::done(std::uint64_t files, std::uint64_t bytes) {
  return invocation_.globals.json ? print(invocation_, json_line({{"files", files}, {"bytes", bytes}})) : 0;
}

int Copy::trouble(const Trouble& trouble, const Status& status, const std::string& where) {
  if (g_stop != 0) return stopped();
  if (trouble.limit.empty()) {
    const std::string path = trouble.path.empty() ? "" : fmt::format("{}: ", sandboxd::quoted(trouble.path));
    return fail(invocation_, Error{status.error().code, fmt::format("{}: {}{}", where, path,
                                                                    trouble.operation.empty() ? status.error().context
                                                                                              : trouble.operation)});
  }
  return fail(invocation_, fmt::format("{}: {}: {} (limit '{}'); nothing was copied", where,
                                       sandboxd::quoted(trouble.path), escaped(trouble.detail), trouble.limit));
}

Status Copy::pump(int from, int to, std::uint64_t& bytes) {
  archive::FdSource source(from, patience());
  archive::FdSink sink(to, patience());
  std::array<char, 64U << 10> buffer;
  for (;;) {
    TRY_ASSIGN(const std::size_t got, source.read(buffer));
    if (got == 0) return {};
    TRY(sink.write({buffer.data(), got}));
    bytes += got;
  }
}

// Where it goes, and under which name.
Result<std::string> Copy::place_outside(const CopyPlace& from, const CopyPlace& to, archive::UnpackOptions& options) {
  struct stat info {};
  if (::stat(to.path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    options.contents = from.contents;
    return to.path;
  }
  if (to.contents || (to.directory && !from.directory)) return sys_error_code(ENOTDIR, "{}", sandboxd::quoted(to.path));
  const SplitPath split = split_path(to.path);
  options.as = split.name;
  return split.parent;
}

int Copy::out(client::Files& files, const CopyPlace& from, const CopyPlace& to) {
  if (to.stream && ::isatty(STDOUT_FILENO) == 1) return fail(invocation_, "a tar stream is nothing for a terminal");
  if (to.stream && invocation_.globals.json)
    return fail(invocation_, "--json: standard output is the stream's when the destination is '-'");
  archive::UnpackOptions options;
  options.limits = options_.limits;
  options.umask = ::umask(077);
  ::umask(options.umask);
  std::string place;
  if (!to.stream) {
    auto found = place_outside(from, to, options);
    if (!found.ok()) return fail(invocation_, found.error());
    place = std::move(found).value();
  }
  Expected<client::Transfer> transfer = files.get(from.path);
  if (!transfer) return fail(invocation_, transfer.error());
  return to.stream ? out_to_stream(*transfer) : out_to_place(*transfer, place, options);
}

int Copy::out_to_stream(client::Transfer& transfer) {
  std::uint64_t bytes = 0;
  const Status pumped = pump(transfer.stream.get(), STDOUT_FILENO, bytes);
  if (g_stop != 0) return stopped();
  if (!pumped.ok()) return fail(invocation_, pumped.error());
  const Expected<client::TransferResult> end = transfer.finish();
  return end ? 0 : fail(invocation_, end.error());
}

int Copy::out_to_place(client::Transfer& transfer, const std::string& place, const archive::UnpackOptions& options) {
  const UniqueFd directory(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail(invocation_, sys_error("open {}", sandboxd::quoted(place)));
  NotingSource source(transfer.stream.get(), patience());
  Totals totals;
  Trouble what;
  const Status unpacked = archive::unpack(source, directory.get(), options, totals, what);
  if (unpacked.ok()) return done(totals.files, totals.bytes);
  if (g_stop != 0) return stopped();
  // A stream that broke off: the jail's side knows why.
  if (what.limit == "format" && source.ended()) {
    const Expected<client::TransferResult> end = transfer.finish(kLastWord);
    if (!end) return fail(invocation_, end.error());
  }
  return trouble(what, unpacked, fmt::format("copy to {}", sandboxd::quoted(place)));
}

Expected<std::string> Copy::place_inside(client::Files& files, const CopyPlace& to, bool is_directory,
                                         std::string& as) {
  const Expected<client::FileStat> there = files.stat(to.path, /*follow=*/true);
  if (there && there->type == "directory") return to.path;
  if (!there && (there.error().kind != client::ErrorKind::kFileFailed || there.error().code != ENOENT))
    return there.error();
  const auto refuse = [&](const char* what) {
    return client::Error{.kind = client::ErrorKind::kInvalid,
                         .text = fmt::format("{} in the jail {}", sandboxd::quoted(to.path), what)};
  };
  if (there && is_directory) return refuse("is no directory: it can't become one");
  if (to.contents || (to.directory && !is_directory)) return refuse("is no directory");
  const SplitPath split = split_path(to.path);
  as = split.name;
  return split.parent;
}

int Copy::in(client::Files& files, const CopyPlace& from, const CopyPlace& to) {
  std::string as;
  bool is_directory = from.stream;
  if (!from.stream) {
    struct stat info {};
    if (::stat(from.path.c_str(), &info) < 0)
      return fail(invocation_, sys_error("look at {}", sandboxd::quoted(from.path)));
    is_directory = S_ISDIR(info.st_mode);
    if (from.directory && !is_directory)
      return fail(invocation_, sys_error_code(ENOTDIR, "{}", sandboxd::quoted(from.path)));
    auto name = local_name(from.path);
    if (!name.ok()) return fail(invocation_, name.error());
    as = from.contents ? "" : std::move(name).value();
  } else if (::isatty(STDIN_FILENO) == 1) {
    return fail(invocation_, "a tar stream does not come from a terminal");
  }
  std::string new_name;
  const Expected<std::string> place =
      from.stream ? Expected<std::string>(to.path) : place_inside(files, to, is_directory, new_name);
  if (!place) return fail(invocation_, place.error());
  if (!new_name.empty()) as = new_name;
  const client::PutLimits limits{options_.limits.size, options_.limits.entries, options_.limits.depth};
  Expected<client::Transfer> transfer = files.put(*place, limits);
  if (!transfer) return fail(invocation_, transfer.error());
  return from.stream ? in_from_stream(*transfer) : in_from_place(*transfer, from, as);
}

int Copy::in_from_stream(client::Transfer& transfer) {
  std::uint64_t bytes = 0;
  const Status pumped = pump(STDIN_FILENO, transfer.stream.get(), bytes);
  if (g_stop != 0) return stopped();
  // EPIPE: the other side has refused it, and says why.
  if (!pumped.ok() && pumped.error().code != EPIPE) return fail(invocation_, pumped.error());
  const Expected<client::TransferResult> end = transfer.finish();
  return end ? done(end->files, end->bytes) : fail(invocation_, end.error());
}

int Copy::in_from_place(client::Transfer& transfer, const CopyPlace& from, const std::string& as) {
  archive::FdSink sink(transfer.stream.get(), patience());
  Totals totals;
  Trouble what;
  const Status packed = archive::pack(AT_FDCWD, from.path, as, /*follow=*/true, sink, options_.limits, totals, what);
  if (g_stop != 0) return stopped();
  const bool refused_there =
      !packed.ok() && what.limit.empty() && what.operation.empty() && packed.error().code == EPIPE;
  if (!packed.ok() && !refused_there) {
    transfer.stream.reset();  // without its end: nothing of it stays
    return trouble(what, packed, fmt::format("copy {}", sandboxd::quoted(from.path)));
  }
  const Expected<client::TransferResult> end = transfer.finish();
  return end ? done(end->files, end->bytes) : fail(invocation_, end.error());
}

Action bind_cp(Options& options) {
  auto wanted = std::make_shared<CopyOptions>();
  options.argument("SOURCE", wanted->source,
                   "JAIL:/path, a path of the caller's, or - for a tar stream on standard input");
  options.argument("DESTINATION", wanted->destination, "the same; - for a tar stream on standard output");
  options.text("--size-max", wanted->size, "SIZE", "the most bytes of all files together; 1G when absent");
  options.number("--entries-max", wanted->entries, "N", "the most files, directories and links; 100000 when absent");
  options.number("--depth-max", wanted->depth, "N", "the most parts of a name; 64 when absent, 256 at most");
  return [wanted](const Invocation& invocation) {
    if (wanted->size) {
      const auto size = parse_size(*wanted->size);
      if (!size)
        return fail(invocation,
                    fmt::format("--size-max {}: must be a size like 512M or 2G", sandboxd::quoted(*wanted->size)));
      wanted->limits.size = *size;
    }
    if (wanted->depth < 1 || wanted->depth > 256) return fail(invocation, "--depth-max: must be 1 to 256");
    wanted->limits.entries = wanted->entries;
    wanted->limits.depth = static_cast<std::uint32_t>(wanted->depth);
    return Copy(invocation, *wanted).run();
  };
}

constexpr std::array kVerbs = {
    Verb{"", "cp", "copy files into a jail or out of it", "SOURCE DESTINATION", Runs::kNothing, bind_cp},
};

}  // namespace

const std::span<const Verb> kCopyVerbs = kVerbs;

}  // namespace sandboxd::ctl
