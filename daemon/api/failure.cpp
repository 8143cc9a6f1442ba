#include "daemon/api/failure.h"

#include <nlohmann/json.hpp>

#include "protocol/errors.h"

namespace sandboxd::api {
namespace {

struct Reply {
  Call& call;

  void operator()(const jails::Denied& f) const {
    call.fail(protocol::kDenied, {{"rule", f.rule}, {"allowed", f.allowed}});
  }
  void operator()(const jails::SetupFailed& f) const {
    call.fail(protocol::kSetupFailed, {{"step", f.step}, {"errno", f.code}, {"detail", f.detail}});
  }
  void operator()(const jails::InvalidArgument& f) const {
    call.fail(protocol::kInvalidArgument, {{"path", f.path}, {"value", f.value}, {"expected", f.expected}});
  }
  void operator()(const jails::NotFound& f) const {
    call.fail(protocol::kNotFound, {{"what", f.what}, {"name", f.name}});
  }
  void operator()(const jails::LimitReached& f) const {
    call.fail(protocol::kLimitReached, {{"limit", f.limit}, {"most", f.most}, {"scope", f.scope}});
  }
  void operator()(const jails::Unavailable& f) const {
    call.fail(protocol::kUnavailable, {{"what", f.what}, {"detail", f.detail}});
  }
};

}  // namespace

void fail(Call& call, const jails::Failure& failure) { std::visit(Reply{call}, failure); }

jails::Client client_of(const Peer& peer) {
  return {.uid = peer.uid,
          .gid = peer.gid,
          .pid = peer.pid,
          .groups = peer.groups,
          .admin = peer.admin,
          .connection = peer.connection};
}

bool parse_or_fail(Call& call, std::string_view text, Json& out) {
  const protocol::Checked wrong = protocol::parse_json(text, out);
  if (wrong) fail(call, jails::Unavailable{"reply", "the daemon's own JSON: " + wrong->message()});
  return !wrong;
}

}  // namespace sandboxd::api
