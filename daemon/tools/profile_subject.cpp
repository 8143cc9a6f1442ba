#include "daemon/tools/profile_subject.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "daemon/profilec/compile_set.h"
#include "daemon/profilec/config.h"
#include "seccomp-profiles/model/json_tree.h"
#include "seccomp-profiles/model/limits.h"

namespace sandboxd::tools {
namespace {

using profilec::Owner;
using profilec::SourceFiles;

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

Result<Subject> profile_subject(Sources& sources, const std::string& name) {
  Subject subject;
  TRY_ASSIGN(subject.profile, filters::load_profile(name, sources.files.profile_source()));
  const std::string& filter = subject.profile->filter;
  TRY_ASSIGN(subject.filter, filters::load_filter(filter, sources.files.filter_loader())
                                 .context("{}: filter {}", subject.profile->file, sandboxd::quoted(filter)));
  subject.parameters = {{"unix_sockets", subject.profile->unix_sockets}};
  return subject;
}

}  // namespace

Result<Sources> open_sources(const std::string& config) {
  Sources sources;
  TRY_ASSIGN(std::string shipped, profilec::shipped_profile_folder());
  const profilec::SetSources from{config, std::move(shipped), Owner::kAnyone};
  TRY_ASSIGN(sources.config, profilec::load_config(from));
  TRY_ASSIGN(sources.files, profilec::open_sources(from, sources.config));
  return sources;
}

// A file with rules is a filter, or, when it has no default, one that filters include; one with limits alone is a preset.
Result<FileKind> kind_of(const std::string& path) {
  TRY_ASSIGN(const std::string text, profilec::read_checked_file(path, Owner::kAnyone));
  TRY_ASSIGN(const filters::JsonNode root, filters::parse_json(text, path));
  const filters::Cursor file(root, path);
  if (!file.has("rules")) return filters::looks_like_preset(file) ? FileKind::kPreset : FileKind::kProfile;
  return file.has("default") ? FileKind::kFilter : FileKind::kIncluded;
}

bool is_file_name(const std::string& text) { return text.find('/') != std::string::npos || text.ends_with(".json"); }

Result<filters::Filter> load_filter_file(Sources& sources, const std::string& path, FileKind kind) {
  TRY_ASSIGN(const std::string name, sources.files.add_filter(path));
  if (kind == FileKind::kFilter) return filters::load_filter(name, sources.files.filter_loader());
  Result<filters::Filter> filter = filters::load_filter("check", including(sources.files, name));
  if (filter.ok()) return filter;
  // Nobody wrote the file that includes this one: an error starts where the person's own file does.
  Error error = filter.error();
  if (const std::size_t own = error.context.find(sandboxd::quoted(path)); own != std::string::npos)
    error.context.erase(0, own);
  return error;
}

Result<Subject> find_subject(Sources& sources, const std::string& what, const std::string& unix_sockets) {
  if (!is_file_name(what)) return profile_subject(sources, what.empty() ? sources.config.default_profile : what);
  TRY_ASSIGN(const FileKind kind, kind_of(what));
  if (kind == FileKind::kProfile) {
    TRY_ASSIGN(const std::string name, sources.files.add_profile(what));
    return profile_subject(sources, name);
  }
  Subject subject;
  TRY_ASSIGN(subject.filter, load_filter_file(sources, what, kind));
  subject.parameters = {{"unix_sockets", unix_sockets}};
  return subject;
}

}  // namespace sandboxd::tools
