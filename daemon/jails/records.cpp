#include "daemon/jails/records.h"

#include <algorithm>
#include <csignal>

#include <sys/wait.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "protocol/names.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::json;
using protocol::Verdict;

std::string text_of(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// JSON's own escapes are for C0 only; DEL, C1 and bidi controls would stand in the log as they are (E41).
bool is_plain(std::string_view bytes) {
  std::string text(bytes);
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\\'; }, ' ');
  return escaped(text) == text;
}

Json bytes_json(const std::string& bytes) {
  if (is_plain(bytes)) return bytes;
  return Json{{"b64", base64_encode(bytes)}};
}

Json usage_json(const protocol::Usage& usage) {
  Json value = {{"wall", usage.wall},
                {"cpu_user", usage.cpu_user},
                {"cpu_system", usage.cpu_system},
                {"memory_peak", usage.memory_peak}};
  for (const protocol::UsageRow& row : protocol::kUsageRows) {
    if (usage.*row.member) value[std::string(row.name)] = *(usage.*row.member);
  }
  return value;
}

}  // namespace

std::vector<std::string> cut_argv(const std::vector<std::string>& argv, std::size_t most) {
  std::vector<std::string> cut;
  std::size_t total = 0;
  for (const std::string& argument : argv) {
    if (total > most) break;
    cut.push_back(argument.substr(0, most + 1 - std::min(most, total)));
    total += argument.size() + 1;
  }
  return cut;
}

std::string bytes_text(const std::string& bytes) { return text_of(bytes_json(bytes)); }

std::string argv_text(const std::vector<std::string>& argv) {
  Json list = Json::array();
  for (const std::string& argument : cut_argv(argv, kArgvRecorded)) list.push_back(bytes_json(argument));
  return text_of(list);
}

std::string report_text(const protocol::JobReport& report) {
  Json detail = {{"verdict", protocol::name_in(protocol::kVerdictNames, report.verdict)},
                 {"profile", report.profile},
                 {"profile_hash", report.profile_hash},
                 {"usage", usage_json(report.usage)}};
  if (report.job > 1) detail["job"] = report.job;
  if (report.survivors != 0) detail["survivors"] = report.survivors;
  if (report.exit_code) detail["exit_code"] = *report.exit_code;
  if (report.signal) detail["signal"] = *report.signal;
  if (!report.detail.empty()) detail["detail"] = report.detail;
  if (!report.unenforced.empty()) detail["unenforced"] = report.unenforced;
  return text_of(detail);
}

std::string failure_detail(const Failure& failure) {
  Json detail = Json::object();
  if (const auto* denied = std::get_if<Denied>(&failure))
    detail = {{"rule", denied->rule}, {"allowed", denied->allowed}};
  if (const auto* setup = std::get_if<SetupFailed>(&failure)) {
    detail = {{"step", setup->step}, {"errno", setup->code}, {"detail", setup->detail}};
  }
  if (const auto* away = std::get_if<Unavailable>(&failure))
    detail = {{"unavailable", away->what}, {"detail", away->detail}};
  return text_of(detail);
}

protocol::JobFailure failure_of_job(const Failure& failure) {
  if (const auto* setup = std::get_if<SetupFailed>(&failure))
    return {setup->step, std::max(setup->code, 0), setup->detail};
  if (const auto* away = std::get_if<Unavailable>(&failure)) return {away->what, 0, away->detail};
  return {"start", 0, failure_detail(failure)};
}

bool is_end(int status) { return WIFEXITED(status) || (WIFSIGNALED(status) && WTERMSIG(status) < NSIG); }

void judge(int status, const EndedBy& by, protocol::JobReport& report) {
  if (by.limit) report.detail = by.limit->detail;
  if (WIFEXITED(status)) {
    report.exit_code = WEXITSTATUS(status);
    report.verdict = by.limit ? by.limit->verdict : Verdict::kExited;
    return;
  }
  report.signal = WTERMSIG(status);
  report.verdict = by.limit                     ? by.limit->verdict
                   : WTERMSIG(status) == SIGSYS ? Verdict::kSeccomp
                   : !by.kill_reason.empty()    ? Verdict::kKilled
                                                : Verdict::kSignalled;
  if (report.verdict == Verdict::kKilled) report.detail = by.kill_reason;
  if (report.verdict == Verdict::kSignalled && WTERMSIG(status) == SIGXFSZ)
    report.detail = "it wrote to a file past file_size_max";
}

}  // namespace sandboxd::jails
