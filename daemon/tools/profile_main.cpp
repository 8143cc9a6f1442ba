// sandboxd-profile: profiles and filters for people, without the daemon. `sandboxctl profile` runs it.
// It needs no right but to read the files, and changes nothing. Exit status: 0, 1 when a file is wrong, 2 for a wrong usage.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/profilec/compile_set.h"
#include "daemon/tools/profile_decide.h"
#include "daemon/tools/profile_report.h"
#include "daemon/tools/profile_subject.h"
#include "seccomp-profiles/compiler/compare.h"
#include "seccomp-profiles/compiler/disassemble.h"
#include "seccomp-profiles/compiler/emit.h"
#include "seccomp-profiles/compiler/syscalls.h"

namespace sandboxd::tools {
namespace {

using filters::Arch;

struct Options {
  std::string config{};
  std::vector<std::string> files{};
  std::string what{};  // a profile's name or file; a filter's name
  std::string other{};
  std::string call{};
  std::string profile{};  // empty: the configured default
  std::string arch{};
  std::string unix_sockets = "none";  // of a filter without a profile
  std::string output{};
  bool json = false;
  bool text = false;
};

std::string name_of_file(const std::string& path) {
  const std::string file = path.substr(path.rfind('/') + 1);
  return file.substr(0, file.rfind('.'));
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

Status check_filter_file(const Options& options, Sources& sources, const std::string& path, FileKind kind) {
  TRY_ASSIGN(const filters::Filter filter, load_filter_file(sources, path, kind));
  const std::string name = kind == FileKind::kFilter ? filter.name : name_of_file(path);
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

Status check_profile_file(const Options& options, Sources& sources, const std::string& path) {
  TRY_ASSIGN(const Subject subject, find_subject(sources, is_file_name(path) ? path : "./" + path, {}));
  TRY_ASSIGN(const std::string sizes, sizes_of(subject.filter, subject.parameters));
  const filters::Profile& profile = *subject.profile;
  if (options.json) {
    print_line({{"file", path}, {"profile", profile.name}, {"filter", profile.filter}, {"size", sizes}});
  } else {
    fmt::print("{}: profile '{}', filter '{}': {}\n", path, profile.name, profile.filter, sizes);
  }
  return {};
}

Status check_preset_file(const Options& options, profilec::SourceFiles& files, const std::string& path) {
  TRY_ASSIGN(const std::string name, files.add_preset(path));
  TRY_ASSIGN(const std::vector<wire::Preset> presets, profilec::load_presets(files, profilec::this_host()));
  if (options.json) {
    print_line({{"file", path}, {"preset", name}});
  } else {
    fmt::print("{}: preset '{}'\n", path, name);
  }
  return {};
}

// Files that are checked together see each other: a profile may inherit the one before it.
Status check(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  for (const std::string& path : options.files) {
    TRY_ASSIGN(const FileKind kind, kind_of(path));
    switch (kind) {
      case FileKind::kProfile: TRY(check_profile_file(options, sources, path)); break;
      case FileKind::kPreset: TRY(check_preset_file(options, sources.files, path)); break;
      case FileKind::kFilter:
      case FileKind::kIncluded: TRY(check_filter_file(options, sources, path, kind)); break;
    }
  }
  return {};
}

Status show(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const Subject subject, find_subject(sources, options.what, options.unix_sockets));
  fmt::print("{}\n", subject.profile ? resolved_json(*subject.profile) : rules_json(subject.filter));
  return {};
}

Status list(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const std::vector<std::string> names, sources.files.profile_names());
  for (const std::string& name : names) {
    TRY_ASSIGN(const filters::Profile profile, filters::load_profile(name, sources.files.profile_source()));
    fmt::print("{:<16} {} ({})\n", name, escaped(profile.description), escaped(profile.file));
  }
  return {};
}

Result<Arch> wanted_arch(const Options& options) {
  return options.arch.empty() ? Result<Arch>(filters::host_arch()) : filters::arch_from_text(options.arch);
}

Status presets(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const std::vector<wire::Preset> all, profilec::load_presets(sources.files, profilec::this_host()));
  for (const wire::Preset& preset : all) {
    if (options.what.empty()) fmt::print("{:<18} {}\n", preset.name, escaped(preset.description));
    if (preset.name == options.what) fmt::print("{}\n", preset_json(preset));
  }
  if (options.what.empty() || std::ranges::find(all, options.what, &wire::Preset::name) != all.end()) return {};
  return make_error("no preset is named {}", sandboxd::quoted(options.what));
}

Status explain(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const Subject subject, find_subject(sources, options.profile, options.unix_sockets));
  TRY_ASSIGN(const Arch arch, wanted_arch(options));
  if (!filters::is_syscall_name(options.call))
    return make_error("unknown system call {}; expected a name from syscalls(2)", sandboxd::quoted(options.call));
  if (!filters::syscall_number(arch, options.call))
    return make_error("{} has no system call {}", to_text(arch), sandboxd::quoted(options.call));
  TRY_ASSIGN(const filters::BoundFilter bound, filters::bind_filter(subject.filter, arch, subject.parameters));
  fmt::print("{}", options.json ? explain_json(bound, options.call) + "\n" : explain_text(bound, options.call));
  return {};
}

Result<std::vector<filters::CallDifference>> filter_difference(const Subject& before, const Subject& after, Arch arch) {
  TRY_ASSIGN(const filters::BoundFilter was, filters::bind_filter(before.filter, arch, before.parameters));
  TRY_ASSIGN(const filters::BoundFilter is, filters::bind_filter(after.filter, arch, after.parameters));
  return compare_filters(was, is);
}

// Each with sources of its own: two files of one name are what one wants to compare.
Status diff(const Options& options) {
  TRY_ASSIGN(const Arch arch, wanted_arch(options));
  TRY_ASSIGN(Sources old_sources, open_sources(options.config));
  TRY_ASSIGN(Sources new_sources, open_sources(options.config));
  TRY_ASSIGN(const Subject before, find_subject(old_sources, options.what, options.unix_sockets));
  TRY_ASSIGN(const Subject after, find_subject(new_sources, options.other, options.unix_sockets));
  if (before.profile.has_value() != after.profile.has_value())
    return make_error("{} and {} can't be compared: one is a profile, the other a filter", options.what, options.other);
  Difference difference;
  if (before.profile) difference.keys = compare_profiles(*before.profile, *after.profile);
  difference.answers = compare_answers(before.filter, after.filter);
  TRY_ASSIGN(difference.calls, filter_difference(before, after, arch));
  fmt::print("{}", options.json ? difference_json(difference) + "\n" : difference_text(difference));
  return {};
}

Status write_program(const std::string& path, std::span<const sock_filter> program) {
  const std::vector<std::uint8_t> bytes = filters::to_bytes(program);
  std::FILE* out = path.empty() ? stdout : std::fopen(path.c_str(), "wbe");
  if (out == nullptr) return sys_error("open {}", sandboxd::quoted(path));
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size() && std::fflush(out) == 0;
  Status status = written ? Status() : sys_error("write {}", path.empty() ? "standard output" : path);
  if (out != stdout && std::fclose(out) != 0 && status.ok()) return sys_error("close {}", sandboxd::quoted(path));
  return status;
}

// Bytes for a file or a pipe, text for a person.
Status compile(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const Subject subject, find_subject(sources, options.what, options.unix_sockets));
  TRY_ASSIGN(const Arch arch, wanted_arch(options));
  TRY_ASSIGN(const std::vector<sock_filter> program,
             filters::compile_filter(subject.filter, arch, subject.parameters).context("{}", subject.name()));
  const bool as_text = options.text || (options.output.empty() && ::isatty(STDOUT_FILENO) == 1);
  if (!as_text) return write_program(options.output, program);
  fmt::print("; filter '{}' of '{}', {}: {} instructions\n{}", subject.filter.name, subject.name(), to_text(arch),
             program.size(), filters::disassemble(program, arch));
  return {};
}

Status table(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const filters::Filter filter, filters::load_filter(options.what, sources.files.filter_loader()));
  fmt::print("{}", refusals_page(filter));
  return {};
}

void add_unix_sockets(CLI::App& verb, Options& options) {
  verb.add_option("--unix-sockets", options.unix_sockets, "none or any: what a profile of a filter file would say")
      ->check(CLI::IsMember({"none", "any"}));
}

CLI::App& add_diff(CLI::App& app, Options& options) {
  CLI::App* verb = app.add_subcommand("diff", "what two profiles, or two filter files, do differently");
  verb->add_option("A", options.what, "name or file")->required();
  verb->add_option("B", options.other, "name or file")->required();
  verb->add_option("--arch", options.arch, "x86_64 or aarch64; this machine's if left out");
  verb->add_flag("--json", options.json);
  add_unix_sockets(*verb, options);
  return *verb;
}

CLI::App& add_compile(CLI::App& app, Options& options) {
  CLI::App* verb = app.add_subcommand("compile", "the BPF program of a profile's filter: bytes, or text on a terminal");
  verb->add_option("PROFILE", options.what, "name or file, also of a filter; the configured default if left out");
  verb->add_option("--arch", options.arch, "x86_64 or aarch64; this machine's if left out");
  verb->add_option("-o,--output", options.output, "write the bytes to this file");
  verb->add_flag("--text", options.text, "the program as text, wherever it goes")->excludes("--output");
  add_unix_sockets(*verb, options);
  return *verb;
}

// For docs/profiles.md: all profiles that give reasons.
Status reasons(const Options& options) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY_ASSIGN(const std::vector<std::string> names, sources.files.profile_names());
  for (const std::string& name : names) {
    TRY_ASSIGN(const filters::Profile profile, filters::load_profile(name, sources.files.profile_source()));
    if (!profile.reasons.empty())
      fmt::print("## {}\n\n{}. Filter `{}`.\n\n{}\n", name, profile.description, profile.filter,
                 reasons_table(profile));
  }
  return {};
}

// A profile's filter, held for the judge that points at it.
struct Judged {
  std::vector<std::unique_ptr<Subject>> subjects{};
  std::vector<Judge> judges{};
};

Status add_judge(Sources& sources, const std::string& name, Arch arch, Judged& to) {
  TRY_ASSIGN(Subject subject, find_subject(sources, name, {}));
  if (!subject.profile) return make_error("{} is a filter; expected a profile", sandboxd::quoted(name));
  const Subject& kept = *to.subjects.emplace_back(std::make_unique<Subject>(std::move(subject)));
  TRY_ASSIGN(filters::BoundFilter bound, filters::bind_filter(kept.filter, arch, kept.parameters));
  to.judges.push_back({*kept.profile, std::move(bound)});
  return {};
}

// The wanted one, and all that are configured.
Status add_judges(const Options& options, Arch arch, Judged& wanted, Judged& all) {
  TRY_ASSIGN(Sources sources, open_sources(options.config));
  TRY(add_judge(sources, options.profile, arch, wanted));
  TRY_ASSIGN(const std::vector<std::string> names, sources.files.profile_names());
  for (const std::string& name : names) TRY(add_judge(sources, name, arch, all));
  return {};
}

Status decide(const Options& options) {
  TRY_ASSIGN(const Arch arch, wanted_arch(options));
  Judged wanted;
  Judged all;
  TRY(add_judges(options, arch, wanted, all));
  std::string line;
  for (int character = std::getchar(); character != EOF; character = std::getchar()) {
    if (character != '\n') {
      line.push_back(static_cast<char>(character));
      continue;
    }
    TRY_ASSIGN(const Call call, parse_call(arch, line));
    fmt::print("{}\n", decision_json(wanted.judges.front(), all.judges, call));
    line.clear();
  }
  return line.empty() ? Status() : make_error("the last line of standard input has no end");
}

// For docs/profiles.md.
Status allowances(const Options& options) {
  TRY_ASSIGN(const Arch arch, wanted_arch(options));
  Judged wanted;
  Judged all;
  TRY(add_judges(options, arch, wanted, all));
  fmt::print("{}", allowances_table(wanted.judges.front(), all.judges));
  return {};
}

void add_decide(CLI::App& app, Options& options, const std::function<void(Status (*)(const Options&))>& finish) {
  CLI::App* decide_app = app.add_subcommand(
      "decide", "which rule decides each call on standard input, as 'CALL ARGUMENT...', and which profiles allow it");
  decide_app->callback([finish] { finish(decide); });
  CLI::App* allowances_app =
      app.add_subcommand("allowances", "a Markdown table of what a profile refuses and others allow");
  allowances_app->callback([finish] { finish(allowances); });
  for (CLI::App* one : {decide_app, allowances_app}) {
    one->add_option("--profile", options.profile, "name or file; the configured default if left out");
    one->add_option("--arch", options.arch, "x86_64 or aarch64; this machine's if left out");
  }
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
      app.add_subcommand("check", "check profile, preset and filter files; later ones may inherit earlier ones");
  check_app->add_option("FILE", options.files)->required();
  check_app->add_flag("--json", options.json, "print JSON, a line for each file");
  check_app->callback([&] { finish(check); });
  CLI::App* show_app = app.add_subcommand("show", "a profile with all that it inherits, or the rules of a filter file");
  show_app->add_option("PROFILE", options.what, "name or file; the configured default if left out");
  show_app->add_flag("--json", options.json, "for show it is JSON always");
  show_app->callback([&] { finish(show); });
  app.add_subcommand("list", "the profiles, and where they come from")->callback([&] { finish(list); });
  CLI::App* presets_app = app.add_subcommand("presets", "the presets, or one with all that it gives on this host");
  presets_app->add_option("PRESET", options.what);
  presets_app->callback([&] { finish(presets); });
  CLI::App* explain_app = app.add_subcommand("explain", "which rules decide a system call, and why");
  explain_app->add_option("SYSCALL", options.call)->required();
  explain_app->add_option("--profile", options.profile,
                          "name or file, also of a filter; the configured default if left out");
  explain_app->add_option("--arch", options.arch, "x86_64 or aarch64; this machine's if left out");
  explain_app->add_flag("--json", options.json);
  explain_app->callback([&] { finish(explain); });
  for (CLI::App* one : {show_app, explain_app}) add_unix_sockets(*one, options);
  add_diff(app, options).callback([&] { finish(diff); });
  add_compile(app, options).callback([&] { finish(compile); });
  app.add_subcommand("reasons", "Markdown tables of why the profiles say what they say")->callback([&] {
    finish(reasons);
  });
  CLI::App* table_app = app.add_subcommand("table", "a Markdown page of what a filter refuses");
  table_app->add_option("FILTER", options.what)->required();
  table_app->callback([&] { finish(table); });
  add_decide(app, options, finish);
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
