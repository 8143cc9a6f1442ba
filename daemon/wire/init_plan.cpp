#include "daemon/wire/init_plan.h"

#include "daemon/wire/exec_plan.h"

namespace sandboxd::wire {
namespace {

void put_text(Writer& writer, const std::string& text) { writer.put(std::string_view(text.c_str(), text.size() + 1)); }

void put_texts(Writer& writer, const std::vector<std::string>& texts) {
  writer.put(static_cast<std::uint32_t>(texts.size()));
  for (const std::string& text : texts) put_text(writer, text);
}

void put_rlimits(Writer& writer, const std::vector<RlimitRow>& rows) {
  writer.put(static_cast<std::uint32_t>(rows.size()));
  for (const RlimitRow& row : rows) {
    writer.put(row.resource);
    writer.put(row.soft);
    writer.put(row.hard);
  }
}

std::uint8_t flags_of(const ExecPlan& plan) {
  const auto flag = [](bool set, ExecFlag which) { return set ? static_cast<unsigned>(which) : 0U; };
  return static_cast<std::uint8_t>(flag(plan.merge_stderr, ExecFlag::kMergeStderr) |
                                   flag(plan.keep_survivors, ExecFlag::kKeepSurvivors) |
                                   flag(plan.program, ExecFlag::kProgram));
}

}  // namespace

std::vector<std::uint8_t> encode_exec_plan(const ExecPlan& plan) {
  Writer writer;
  writer.put(kExecPlanMagic);
  writer.put(plan.job);
  writer.put(plan.wall_time);
  writer.put(static_cast<std::uint8_t>(plan.stdio));
  writer.put(flags_of(plan));
  writer.put(plan.rows);
  writer.put(plan.columns);
  put_rlimits(writer, plan.rlimits);
  put_text(writer, plan.workdir);
  put_texts(writer, plan.argv);
  put_texts(writer, plan.env);
  return writer.take();
}

std::vector<std::uint8_t> encode_init_plan(const InitPlan& plan) {
  Writer writer;
  writer.put(kInitPlanMagic);
  writer.put(plan.job_uid);
  writer.put(plan.job_gid);
  writer.put(plan.wall_time);
  writer.put(plan.stdio);
  unsigned flags = (plan.merge_stderr ? static_cast<unsigned>(InitFlag::kMergeStderr) : 0U) |
                   (plan.explain ? static_cast<unsigned>(InitFlag::kExplain) : 0U) |
                   (plan.learn ? static_cast<unsigned>(InitFlag::kLearn) : 0U);
#if defined(SANDBOXD_FAULT)
  flags |= plan.keep_capabilities ? static_cast<unsigned>(InitFlag::kKeepCapabilities) : 0U;
#endif
  writer.put(static_cast<std::uint8_t>(flags));
  writer.put(plan.rows);
  writer.put(plan.columns);
  put_rlimits(writer, plan.rlimits);
  writer.put(plan.landlock_fs);
  writer.put(plan.landlock_net);
  writer.put(plan.landlock_scoped);
  writer.put(static_cast<std::uint32_t>(plan.landlock.size()));
  for (const LandlockRow& row : plan.landlock) {
    put_text(writer, row.path);
    writer.put(row.access);
    writer.put(static_cast<std::uint8_t>(row.no_symlinks ? 1 : 0));
  }
  writer.put(static_cast<std::uint32_t>(plan.landlock_ports.size()));
  for (const LandlockPort& row : plan.landlock_ports) {
    writer.put(row.access);
    writer.put(row.port);
  }
  writer.put(static_cast<std::uint32_t>(plan.filter.size() / 8));
  writer.align(8);
  for (const std::uint8_t byte : plan.filter) writer.put(byte);
  put_texts(writer, plan.tmpfs);
  put_text(writer, plan.workdir);
  put_texts(writer, plan.argv);
  put_texts(writer, plan.env);
  return writer.take();
}

}  // namespace sandboxd::wire
