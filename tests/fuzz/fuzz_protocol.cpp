// What any local user can send to sandboxd.sock: varlink frames, the call's outer object, a JobSpec. Beside memory faults this
// looks for a spec that is not the same after it was written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <nlohmann/json.hpp>

#include "protocol/codec.h"
#include "protocol/envelope.h"
#include "protocol/frame.h"

namespace sandboxd::protocol {
namespace {

void try_spec(const Json& parameters) {
  const auto found = parameters.find("spec");
  JobSpec spec;
  if (decode(found == parameters.end() ? parameters : *found, "", spec)) return;
  JobSpec again;
  if (decode(encode(spec), "", again) || !(again == spec)) std::abort();
}

void try_frame(const std::string& frame) {
  CallHead head;
  Json parameters;
  if (!parse_call(frame, head, parameters)) {
    CallHead same;
    Json others;
    if (parse_call(call_text(head, parameters), same, others) || others != parameters) std::abort();
    try_spec(parameters);
  }
  Json value;
  if (!parse_json(frame, value)) try_spec(value);
}

}  // namespace
}  // namespace sandboxd::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  sandboxd::protocol::FrameReader reader;
  // In two parts, as a socket would: the cut is the input's middle.
  if (!reader.feed(bytes.substr(0, size / 2)) || !reader.feed(bytes.substr(size / 2))) return 0;
  while (const auto frame = reader.next()) sandboxd::protocol::try_frame(*frame);
  sandboxd::protocol::try_frame(std::string(bytes));
  return 0;
}
