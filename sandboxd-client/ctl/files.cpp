// files ls, cat, write, stat, rm: single files of a live jail.
#include <array>
#include <memory>

#include <fmt/core.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/cp_place.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"
#include "sandboxd-client/ctl/terminal_text.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Expected;
using client::FileStat;

constexpr std::size_t kMostWritten = 512U << 10;

void add_place(Options& options, std::string& place) {
  options.argument("JAIL:PATH", place, "the jail's id or name, and an absolute path in it");
}

// `use` gets the jail's files and the path, and returns the exit status.
template <class Use> int with_files(const Invocation& invocation, const std::string& text, Use use) {
  const Result<CopyPlace> place = copy_place_from_text(text);
  if (!place.ok()) return fail(invocation, place.error());
  if (!place->jail) return fail(invocation, fmt::format("{}: must be JAIL:/path", sandboxd::quoted(text)));
  return with_client(invocation, [&](Client& client) {
    client::Files files = client.files(*place->jail);
    return use(files, place->path);
  });
}

Json json_of(const FileStat& stat) {
  Json out = {{"name", protocol::bytes_to_json(stat.name)},
              {"type", stat.type},
              {"size", stat.size},
              {"mode", stat.mode},
              {"modified", stat.modified}};
  if (stat.target) out["target"] = protocol::bytes_to_json(*stat.target);
  return out;
}

Action bind_ls(Options& options) {
  auto place = std::make_shared<std::string>();
  add_place(options, *place);
  return [place](const Invocation& invocation) {
    return with_files(invocation, *place, [&](client::Files& files, const std::string& path) {
      const Expected<std::vector<FileStat>> list = files.list(path);
      if (!list) return fail(invocation, list.error());
      Json all = Json::array();
      Table table{{"NAME", "TYPE", "SIZE", "MODE", "MODIFIED"}, {}};
      const std::uint64_t now = realtime_usec();
      for (const FileStat& stat : *list) {
        if (invocation.globals.json) all.push_back(json_of(stat));
        const std::string age = stat.modified < now ? time_text(now - stat.modified) + " ago" : "now";
        table.rows.push_back({stat.name, stat.type, size_text(stat.size), fmt::format("{:04o}", stat.mode), age});
      }
      return invocation.globals.json ? print_value(invocation, all) : print(invocation, render(table, output_style()));
    });
  };
}

Action bind_stat(Options& options) {
  auto place = std::make_shared<std::string>();
  add_place(options, *place);
  return [place](const Invocation& invocation) {
    return with_files(invocation, *place, [&](client::Files& files, const std::string& path) {
      const Expected<FileStat> stat = files.stat(path);
      if (!stat) return fail(invocation, stat.error());
      if (invocation.globals.json) return print_value(invocation, json_of(*stat));
      Fields fields = {{"name", stat->name},
                       {"type", stat->type},
                       {"size", fmt::format("{}", stat->size)},
                       {"mode", fmt::format("{:04o}", stat->mode)}};
      if (stat->target) fields.emplace_back("target", *stat->target);
      return print(invocation, render(fields, output_style()));
    });
  };
}

struct CatOptions {
  std::string place{};
  bool raw = false;
};

int print_file(const Invocation& invocation, client::Files& files, const std::string& path, bool raw) {
  TerminalText text;
  const bool safe = !raw && ::isatty(STDOUT_FILENO) == 1;
  for (std::uint64_t offset = 0;;) {
    const Expected<client::FileData> part = files.read(path, offset);
    if (!part) return fail(invocation, part.error());
    const Status written = write_all(STDOUT_FILENO, safe ? text.add(part->data) : part->data);
    if (!written.ok()) return fail(invocation, written.error());
    offset += part->data.size();
    if (part->end || part->data.empty()) break;
  }
  const Status written = write_all(STDOUT_FILENO, text.end());
  return written.ok() ? 0 : fail(invocation, written.error());
}

Action bind_cat(Options& options) {
  auto wanted = std::make_shared<CatOptions>();
  add_place(options, wanted->place);
  options.flag("--raw", wanted->raw, "show a terminal every byte as it is: it obeys what the file says");
  return [wanted](const Invocation& invocation) {
    return with_files(invocation, wanted->place, [&](client::Files& files, const std::string& path) {
      return print_file(invocation, files, path, wanted->raw);
    });
  };
}

struct WriteOptions {
  std::string place{}, mode = "644";
  bool append = false, exclusive = false;
};

std::optional<std::uint32_t> mode_from_text(std::string_view text) {
  std::uint32_t mode = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7' || mode > 0777) return {};
    mode = mode * 8 + static_cast<std::uint32_t>(digit - '0');
  }
  return text.empty() || mode > 0777 ? std::nullopt : std::optional(mode);
}

Action bind_write(Options& options) {
  auto wanted = std::make_shared<WriteOptions>();
  add_place(options, wanted->place);
  options.flag("--append,-a", wanted->append, "add to the file");
  options.flag("--exclusive,-x", wanted->exclusive, "it must not exist yet");
  options.text("--mode,-m", wanted->mode, "MODE", "permission bits, in octal");
  return [wanted](const Invocation& invocation) {
    const auto mode = mode_from_text(wanted->mode);
    if (!mode)
      return fail(invocation, fmt::format("--mode {}: must be octal, 0 to 777", sandboxd::quoted(wanted->mode)));
    return with_files(invocation, wanted->place, [&](client::Files& files, const std::string& path) {
      const Result<std::string> content = read_fd(STDIN_FILENO, kMostWritten);
      if (!content.ok() && content.error().code == EFBIG)
        return fail(invocation, fmt::format("more than {} bytes: use cp", kMostWritten));
      if (!content.ok()) return fail(invocation, content.error());
      const Expected<void> written =
          files.write(path, *content, {.mode = *mode, .append = wanted->append, .exclusive = wanted->exclusive});
      if (!written) return fail(invocation, written.error());
      return invocation.globals.json ? print_value(invocation, Json::object()) : 0;
    });
  };
}

struct RemoveOptions {
  std::string place{};
  bool recursive = false;
};

Action bind_rm(Options& options) {
  auto wanted = std::make_shared<RemoveOptions>();
  add_place(options, wanted->place);
  options.flag("--recursive,-r", wanted->recursive, "a directory, with all below it");
  return [wanted](const Invocation& invocation) {
    return with_files(invocation, wanted->place, [&](client::Files& files, const std::string& path) {
      const Expected<void> removed = files.remove(path, wanted->recursive);
      if (!removed) return fail(invocation, removed.error());
      return invocation.globals.json ? print_value(invocation, Json::object()) : 0;
    });
  };
}

constexpr std::array kVerbs = {
    Verb{"files", "ls", "list a directory of a jail", "JAIL:PATH", Runs::kNothing, bind_ls},
    Verb{"files", "stat", "show what a path in a jail is", "JAIL:PATH", Runs::kNothing, bind_stat},
    Verb{"files", "cat", "print a file of a jail", "JAIL:PATH", Runs::kNothing, bind_cat},
    Verb{"files", "write", "write standard input to a file of a jail", "JAIL:PATH", Runs::kNothing, bind_write},
    Verb{"files", "rm", "remove a file or directory of a jail", "JAIL:PATH", Runs::kNothing, bind_rm},
};

}  // namespace

const std::span<const Verb> kFileVerbs = kVerbs;

}  // namespace sandboxd::ctl
