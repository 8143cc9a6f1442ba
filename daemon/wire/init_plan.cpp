#include "daemon/wire/init_plan.h"

namespace sandboxd::wire {
namespace {

void put_text(Writer& writer, const std::string& text) { writer.put(std::string_view(text.c_str(), text.size() + 1)); }

void put_texts(Writer& writer, const std::vector<std::string>& texts) {
  writer.put(static_cast<std::uint32_t>(texts.size()));
  for (const std::string& text : texts) put_text(writer, text);
}

}  // namespace

std::vector<std::uint8_t> encode_init_plan(const InitPlan& plan) {
  Writer writer;
  writer.put(kInitPlanMagic);
  writer.put(plan.job_uid);
  writer.put(plan.job_gid);
  writer.put(plan.wall_time);
  writer.put(plan.stdio);
  writer.put(static_cast<std::uint32_t>(plan.rlimits.size()));
  for (const RlimitRow& row : plan.rlimits) {
    writer.put(row.resource);
    writer.put(row.soft);
    writer.put(row.hard);
  }
  writer.put(plan.landlock_fs);
  writer.put(plan.landlock_net);
  writer.put(plan.landlock_scoped);
  writer.put(static_cast<std::uint32_t>(plan.landlock.size()));
  for (const LandlockRow& row : plan.landlock) {
    put_text(writer, row.path);
    writer.put(row.access);
  }
  writer.put(static_cast<std::uint32_t>(plan.filter.size() / 8));
  writer.align(8);
  for (const std::uint8_t byte : plan.filter) writer.put(byte);
  put_text(writer, plan.workdir);
  put_texts(writer, plan.argv);
  put_texts(writer, plan.env);
  return writer.take();
}

}  // namespace sandboxd::wire
