// Messages between our own programs. The first byte chooses the type. What can be read must be written again as the very
// same bytes; a plan that can be read is held against a profile as the launcher does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "daemon/wire/audit.h"
#include "daemon/wire/claim.h"
#include "daemon/wire/codec.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/narrow.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::wire {
namespace {

using Bytes = std::span<const std::uint8_t>;

template <class T> bool same_again(Bytes bytes, T& value) {
  if (!decode(bytes, value)) return false;
  const std::vector<std::uint8_t> written = encode(value);
  if (!std::equal(written.begin(), written.end(), bytes.begin(), bytes.end())) std::abort();
  return true;
}

template <class T> void try_type(Bytes bytes) {
  T value{};
  same_again(bytes, value);
}

void try_plan(Bytes bytes) {
  JailPlan plan{};
  if (same_again(bytes, plan)) static_cast<void>(find_breach(plan, Profile{}));
}

constexpr void (*kTypes[])(Bytes) = {
    try_plan,         try_type<ProfileSet>, try_type<Profile>,     try_type<Config>,     try_type<Started>,
    try_type<Failed>, try_type<Readback>,   try_type<AuditRecord>, try_type<NumberList>, try_type<Refused>,
    try_type<Ack>,    try_type<Claim>,      try_type<Claimant>,    try_type<Claimed>,
};

}  // namespace
}  // namespace sandboxd::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sandboxd::wire::kTypes;
  if (size > 0) kTypes[data[0] % std::size(kTypes)]({data + 1, size - 1});
  return 0;
}
