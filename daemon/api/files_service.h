// org.sandboxd.Files on a Supervisor: each call is a job of the jail that runs sandboxd-jail-files. What that says comes out of the
// jail: it is read as bounded records, its text is escaped, and it decides about nothing but this call's answer. The bytes of Get
// and Put go between client and jail and are never seen here.
#pragma once

#include "base/unique_fd.h"
#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

class FilesService {
 public:
  FilesService(jails::Supervisor& supervisor, UniqueFd program)
      : supervisor_(supervisor), program_(std::move(program)) {}
  [[nodiscard]] Interface interface();  // refers to this

 private:
  struct Operation;
  void begin(Operation operation);
  void read(const CallPtr& call);
  void write(const CallPtr& call);
  void list(const CallPtr& call);
  void stat(const CallPtr& call);
  void remove(const CallPtr& call);
  void get(const CallPtr& call);
  void put(const CallPtr& call);

  jails::Supervisor& supervisor_;
  UniqueFd program_;
};

}  // namespace sandboxd::api
