#include <algorithm>
#include <array>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/tools/doctor/doctor.h"

namespace sandboxd::doctor {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kGreen = "\x1b[32m", kRed = "\x1b[31m", kYellow = "\x1b[33m", kPlain = "\x1b[0m";

std::string_view word(State state) {
  constexpr std::array<std::string_view, 3> kWords = {"offered", "missing", "unknown"};
  return kWords.at(static_cast<std::size_t>(state));
}

std::string_view word(Need need) {
  constexpr std::array<std::string_view, 3> kWords = {"required", "optional", "info"};
  return kWords.at(static_cast<std::size_t>(need));
}

std::string_view colour_of(const Finding& finding) {
  if (finding.outcome.state == State::kOffered) return kGreen;
  return finding.outcome.state == State::kMissing && finding.probe->need == Need::kRequired ? kRed : kYellow;
}

std::string ids_of(const std::vector<Finding>& findings, State state) {
  std::string ids;
  for (const Finding& finding : findings) {
    if (finding.probe->need != Need::kRequired || finding.outcome.state != state) continue;
    ids += fmt::format("{}{}", ids.empty() ? "" : ", ", finding.probe->id);
  }
  return ids;
}

std::string conclusion(const std::vector<Finding>& findings) {
  switch (verdict(findings)) {
    case 0: return "the default profile can be enforced on this host\n";
    case 1:
      return fmt::format("the default profile can't be enforced on this host; missing: {}\n",
                         ids_of(findings, State::kMissing));
    default: return fmt::format("not all could be tried, run it as root: {}\n", ids_of(findings, State::kUnknown));
  }
}

std::string row(const Finding& finding, std::size_t id_width, bool colour) {
  const std::string_view on = colour ? colour_of(finding) : std::string_view();
  const std::string_view off = colour ? kPlain : std::string_view();
  std::string text = fmt::format("{}{:<8}{}  {:<{}}  {}", on, word(finding.outcome.state), off, finding.probe->id,
                                 id_width, finding.probe->what);
  if (!finding.outcome.detail.empty()) text += ": " + escaped(finding.outcome.detail);
  text += '\n';
  const bool lacks = finding.outcome.state == State::kMissing && !finding.probe->turns_off.empty();
  if (lacks) text += fmt::format("{:{}}turns off: {}\n", "", 12 + id_width, finding.probe->turns_off);
  return text;
}

std::string plain_row(const Finding& finding) {
  const Probe& probe = *finding.probe;
  return fmt::format("{}\t{}\t{}\t{}\t{}\n", word(finding.outcome.state), probe.id, word(probe.need),
                     escaped(finding.outcome.detail), finding.outcome.state == State::kMissing ? probe.turns_off : "");
}

}  // namespace

std::vector<Finding> examine(const Context& context) {
  std::vector<Finding> findings;
  for (const auto probes : {kKernelProbes, kMountProbes, kCgroupProbes, kLimitProbes, kHostProbes}) {
    for (const Probe& probe : probes) findings.push_back({&probe, probe.run(context)});
  }
  return findings;
}

int verdict(const std::vector<Finding>& findings) {
  const auto has = [&](State state) {
    return std::ranges::any_of(findings, [&](const Finding& finding) {
      return finding.probe->need == Need::kRequired && finding.outcome.state == state;
    });
  };
  return has(State::kMissing) ? 1 : has(State::kUnknown) ? 2 : 0;
}

std::string to_text(const std::vector<Finding>& findings, bool terminal, bool colour) {
  std::size_t id_width = 0;
  for (const Finding& finding : findings) id_width = std::max(id_width, finding.probe->id.size());
  std::string text;
  for (const Finding& finding : findings) text += terminal ? row(finding, id_width, colour) : plain_row(finding);
  return terminal ? text + "\n" + conclusion(findings) : text;
}

std::string to_json(const std::vector<Finding>& findings) {
  constexpr std::array<const char*, 3> kEnforceable = {"yes", "no", "unknown"};
  Json probes = Json::array();
  for (const Finding& finding : findings) {
    probes.push_back({{"id", finding.probe->id},
                      {"what", finding.probe->what},
                      {"need", word(finding.probe->need)},
                      {"state", word(finding.outcome.state)},
                      {"detail", finding.outcome.detail},
                      {"turns_off", finding.probe->turns_off}});
  }
  const Json all = {{"enforceable", kEnforceable.at(static_cast<std::size_t>(verdict(findings)))}, {"probes", probes}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sandboxd::doctor
