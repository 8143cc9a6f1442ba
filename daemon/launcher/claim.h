// Takes a client's descriptors and ids from the broker, and checks what may be mapped.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/wire/claim.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

struct Client {
  wire::Claimant who{};
  std::vector<UniqueFd> fds{};
  UniqueFd mount_namespace{};  // only when the client is in another one
};

// Asks for the descriptors under the plan's token; the broker looks them up while the caller does something else.
Result<UniqueFd> begin_claim(const std::string& socket, const wire::JailPlan& plan);
// EACCES for a token that nobody holds. The ids are the kernel's, through the broker's main process; never the plan's, nor those
// of the broker's child that sends the descriptors.
Result<Client> finish_claim(int broker);
// While it lives, files are looked up as the client (setfsuid(2)): what a directory refuses to its owner's caller, it refuses
// to us, and a private one opens.
class AsFileUser {
 public:
  AsFileUser(std::uint32_t uid, std::uint32_t gid);
  ~AsFileUser();
  AsFileUser(const AsFileUser&) = delete;
  AsFileUser& operator=(const AsFileUser&) = delete;
};

// Whose files may be mapped: no id of the pool, none below UID_MIN unless an admin lists it, 0 only from broker-admin.sock;
// and the plan may show the job no other ids than its own (or 0).
Status check_ids(const wire::JailPlan& plan, const Client& client, const wire::Config& config);
// A directory or a regular file, opened for reading: O_PATH needs no right (E65).
Status check_bind_source(int fd, bool& is_directory);
// FIFOs, regular files and /dev/null: a directory as stdin is a way out, a terminal outlives the command (E79).
Status check_stdio(int fd);

}  // namespace sandboxd::launcher
