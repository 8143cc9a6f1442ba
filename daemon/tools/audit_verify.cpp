// sandboxd-audit-verify [--json] [DIR]: is the audit log in DIR whole? One line on stdout. Exit status: 0 good, 1 something was
// changed, moved or taken away, 2 it ends in an unfinished commit or can't be read, 3 wrong usage. Reads only; needs no program
// to run.
#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/audit/verify.h"

namespace {

using sandboxd::audit::Verdict;
using sandboxd::audit::Verification;

constexpr std::string_view kUsage = "usage: sandboxd-audit-verify [--json] [DIR]     (DIR: /var/lib/sandboxd/audit)\n";

struct Options {
  std::string directory = "/var/lib/sandboxd/audit";
  bool json = false;
  bool help = false;
  bool wrong = false;
};

Options parse(int argc, char** argv) {
  Options options;
  int directories = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool is_option = word.starts_with("-");
    options.json = options.json || word == "--json";
    options.help = options.help || word == "--help" || word == "-h";
    options.wrong = options.wrong || (is_option && word != "--json" && word != "--help" && word != "-h");
    if (!is_option) options.directory = word;
    if (!is_option) ++directories;
  }
  options.wrong = options.wrong || directories > 1;
  return options;
}

std::string_view name_of(Verdict verdict) {
  if (verdict == Verdict::kGood) return "good";
  return verdict == Verdict::kBad ? "bad" : "unfinished";
}

void show_text(const Verification& result) {
  if (result.verdict == Verdict::kGood) {
    fmt::print("good: {} records in {} segments, from record {}, last leaf {}\n", result.end.records - result.first,
               result.segments, result.first, sandboxd::hex(result.end.last_leaf));
    return;
  }
  fmt::print("{}: record {} at byte {} of segment {}: {}; {} records before it are good\n", name_of(result.verdict),
             result.bad_index, result.bad_offset, sandboxd::quoted(result.segment), result.problem,
             result.end.records - std::min(result.first, result.end.records));
}

void show_json(const Verification& result) {
  nlohmann::json value = {{"verdict", name_of(result.verdict)},
                          {"first", result.first},
                          {"records", result.end.records - std::min(result.first, result.end.records)},
                          {"segments", result.segments},
                          {"last_leaf", sandboxd::hex(result.end.last_leaf)}};
  if (result.verdict != Verdict::kGood)
    value["bad"] = {{"record", result.bad_index},
                    {"byte", result.bad_offset},
                    {"segment", result.segment},
                    {"problem", result.problem}};
  fmt::print("{}\n", value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  if (options.wrong || options.help) {
    fmt::print(options.wrong ? stderr : stdout, "{}", kUsage);
    return options.wrong ? 3 : 0;
  }
  const sandboxd::Result<Verification> result = sandboxd::audit::verify(options.directory);
  if (!result.ok()) {
    fmt::print(stderr, "sandboxd-audit-verify: {}\n", result.error().message());
    return 2;
  }
  options.json ? show_json(*result) : show_text(*result);
  return result->verdict == Verdict::kGood ? 0 : result->verdict == Verdict::kBad ? 1 : 2;
}
