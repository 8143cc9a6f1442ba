// sandboxd-profile: profiles and filters for people, without the daemon. `sandboxctl profile` runs it.
// It needs no right but to read the files, and changes nothing. Exit status: 0, 1 when a file is wrong, 2 for a wrong usage.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/profilec/compile_set.h"
#include "daemon/profilec/config.h"
#include "daemon/tools/profile_report.h"
#include "seccomp-profiles/compiler/emit.h"
#include "seccomp-profiles/compiler/syscalls.h"
#include "seccomp-profiles/model/json_tree.h"

namespace sandboxd::tools {
namespace {

using filters::Arch;
using profilec::Owner;
using profilec::SourceFiles;

struct Options {
  std::string config{};
  std::vector<std::string> files{};
  std::string what{};  // a profile's name or file; a filter's name
  std::string call{};
  std::string profile{};  // empty: the configured default
  std::string arch{};
  bool json = false;
};

bool is_file_name(const std::string& text) { return text.find('/') != std::string::npos || text.ends_with(".json"); }

struct Loaded {
  wire::Config config{};
  SourceFiles files{};
};

Result<Loaded> load(const Options& options) {
  Loaded loaded;
  TRY_ASSIGN(std::string shipped, profilec::shipped_profile_folder());
  const profilec::SetSources sources{options.config, std::move(shipped), Owner::kAnyone};
  TRY_ASSIGN(loaded.config, profilec::load_config(sources));
  TRY_ASSIGN(loaded.files, profilec::open_sources(sources, loaded.config));
  return loaded;
}

enum class FileKind { kProfile, kFilter, kIncluded };

// A file with rules is a filter, or, when it has no default, one that filters include; anything else is a profile.
Result<FileKind> kind_of(const std::string& path) {
  TRY_ASSIGN(const std::string text, profilec::read_checked_file(path, Owner::kAnyone));
  TRY_ASSIGN(const filters::JsonNode root, filters::parse_json(text, path));
  const filters::Cursor file(root, path);
  if (!file.has("rules")) return FileKind::kProfile;
  return file.has("default") ? FileKind::kFilter : FileKind::kIncluded;
}

// The smallest filter that includes that file.
filters::Loader including(const SourceFiles& files, const std::string& name) {
  return [&files, name](std::string_view wanted) -> Result<filters::SourceText> {
    if (wanted != "check") return files.filter(wanted);
    return filters::SourceText{"check", fmt::format(R"({{"name":"check","description":"-",
      "default":{{"action":"errno","errno":"ENOSYS","why":"-"}},"foreign_abi":{{"action":"errno","errno":"ENOSYS","why":"-"}},
      "rules":[{{"include":"{}"}}]}})",
                                                    name)};
  };
}

Result<std::string> sizes_of(const filters::Filter& filter, const filters::Parameters& parameters) {
  std::string text;
  for (const Arch arch : filters::kArchs) {
    TRY_ASSIGN(const std::vector<sock_filter> program, filters::compile_filter(filter, arch, parameters));
    text += fmt::format("{}{} instructions on {}", text.empty() ? "" : ", ", program.size(), to_text(arch));
  }
  return text;
}

void print_line(const nlohmann::json& value) {
  fmt::print("{}\n", value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Status check_filter_file(const Options& options, SourceFiles& files, const std::string& path, FileKind kind) {
  TRY_ASSIGN(const std::string name, files.add_filter(path));
  const bool whole = kind == FileKind::kFilter;
  TRY_ASSIGN(const filters::Filter filter, whole ? filters::load_filter(name, files.filter_loader())
                                                 : filters::load_filter("check", including(files, name)));
  for (const std::string unix_sockets : {"none", "any"}) {
    TRY_ASSIGN(const std::string sizes, sizes_of(filter, {{"unix_sockets", unix_sockets}}));
    if (options.json) {
      print_line({{"file", path}, {"filter", name}, {"unix_sockets", unix_sockets}, {"size", sizes}});
    } else {
      fmt::print("{}: filter '{}' with unix_sockets {}: {}\n", path, name, unix_sockets, sizes);
    }
  }
  return {};
}

Status check_profile_file(const Options& options, SourceFiles& files, const std::string& path) {
  TRY_ASSIGN(const std::string name, files.add_profile(path));
  TRY_ASSIGN(const filters::Profile profile, filters::load_profile(name, files.profile_source()));
  TRY_ASSIGN(const filters::Filter filter, filters::load_filter(profile.filter, files.filter_loader())
                                               .context("{}: filter {}", path, sandboxd::quoted(profile.filter)));
  TRY_ASSIGN(const std::string sizes, sizes_of(filter, {{"unix_sockets", profile.unix_sockets}}));
  if (options.json) {
    print_line({{"file", path}, {"profile", name}, {"filter", profile.filter}, {"size", sizes}});
  } else {
    fmt::print("{}: profile '{}', filter '{}': {}\n", path, name, profile.filter, sizes);
  }
  return {};
}

// Files that are checked together see each other: a profile may inherit the one before it.
Status check(const Options& options) {
  TRY_ASSIGN(Loaded loaded, load(options));
  for (const std::string& path : options.files) {
    TRY_ASSIGN(const FileKind kind, kind_of(path));
    TRY(kind == FileKind::kProfile ? check_profile_file(options, loaded.files, path)
                                   : check_filter_file(options, loaded.files, path, kind));
  }
  return {};
}

Result<filters::Profile> find_profile(Loaded& loaded, const std::string& what) {
  std::string name = what.empty() ? loaded.config.default_profile : what;
  if (is_file_name(name)) {
    TRY_ASSIGN(name, loaded.files.add_profile(name));
  }
  return filters::load_profile(name, loaded.files.profile_source());
}

Status show(const Options& options) {
  TRY_ASSIGN(Loaded loaded, load(options));
  TRY_ASSIGN(const filters::Profile profile, find_profile(loaded, options.what));
  fmt::print("{}\n", resolved_json(profile));
  return {};
}

Status list(const Options& options) {
  TRY_ASSIGN(Loaded loaded, load(options));
  TRY_ASSIGN(const std::vector<std::string> names, loaded.files.profile_names());
  for (const std::string& name : names) {
    TRY_ASSIGN(const filters::Profile profile, find_profile(loaded, name));
    fmt::print("{:<16} {} ({})\n", name, escaped(profile.description), escaped(profile.file));
  }
  return {};
}

Status explain(const Options& options) {
  TRY_ASSIGN(Loaded loaded, load(options));
  TRY_ASSIGN(const filters::Profile profile, find_profile(loaded, options.profile));
  TRY_ASSIGN(const filters::Filter filter, filters::load_filter(profile.filter, loaded.files.filter_loader()));
  Arch arch = filters::host_arch();
  if (!options.arch.empty()) {
    TRY_ASSIGN(arch, filters::arch_from_text(options.arch));
  }
  if (!filters::is_syscall_name(options.call))
    return make_error("unknown system call {}; expected a name from syscalls(2)", sandboxd::quoted(options.call));
  if (!filters::syscall_number(arch, options.call))
    return make_error("{} has no system call {}", to_text(arch), sandboxd::quoted(options.call));
  TRY_ASSIGN(const filters::BoundFilter bound,
             filters::bind_filter(filter, arch, {{"unix_sockets", profile.unix_sockets}}));
  fmt::print("{}", options.json ? explain_json(bound, options.call) + "\n" : explain_text(bound, options.call));
  return {};
}

Status table(const Options& options) {
  TRY_ASSIGN(Loaded loaded, load(options));
  TRY_ASSIGN(const filters::Filter filter, filters::load_filter(options.what, loaded.files.filter_loader()));
  fmt::print("{}", refusals_page(filter));
  return {};
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Profiles and filters of sandboxd, without the daemon. The formats are in sandboxd-profile(5).");
  app.require_subcommand(1);
  app.add_option("--config", options.config, "sandboxd.json to take the folders of profiles from");
  const auto finish = [&](Status (*verb)(const Options&)) {
    const Status status = verb(options);
    if (!status.ok()) {
      fmt::print(stderr, "sandboxd-profile: {}\n", status.error().message());
      std::exit(EXIT_FAILURE);
    }
  };
  CLI::App* check_app =
      app.add_subcommand("check", "check profile and filter files; later ones may inherit earlier ones");
  check_app->add_option("FILE", options.files)->required();
  check_app->add_flag("--json", options.json, "print JSON, a line for each file");
  check_app->callback([&] { finish(check); });
  CLI::App* show_app = app.add_subcommand("show", "a profile with all that it inherits");
  show_app->add_option("PROFILE", options.what, "name or file; the configured default if left out");
  show_app->callback([&] { finish(show); });
  app.add_subcommand("list", "the profiles, and where they come from")->callback([&] { finish(list); });
  CLI::App* explain_app = app.add_subcommand("explain", "which rules decide a system call, and why");
  explain_app->add_option("SYSCALL", options.call)->required();
  explain_app->add_option("--profile", options.profile, "name or file; the configured default if left out");
  explain_app->add_option("--arch", options.arch, "x86_64 or aarch64; this machine's if left out");
  explain_app->add_flag("--json", options.json);
  explain_app->callback([&] { finish(explain); });
  CLI::App* table_app = app.add_subcommand("table", "a Markdown page of what a filter refuses");
  table_app->add_option("FILTER", options.what)->required();
  table_app->callback([&] { finish(table); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "sandboxd-profile: {}; see --help\n", error.what());
    return 2;
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace sandboxd::tools

int main(int argc, char** argv) {
  try {
    return sandboxd::tools::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sandboxd-profile: %s\n", error.what());
  }
  return EXIT_FAILURE;
}
